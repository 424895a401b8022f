"""Changing resources: what a change needs is made ready before it is given to the writer."""

from collections.abc import Callable, Mapping, Sequence
from functools import partial

from audit_app.trail import Entry
from encryption_app.data_keys import data_keys
from encryption_app.envelope import DataKey
from encryption_app.policy import provider_of
from encryption_app.submission import submit_sealing
from resources_app.changes import Change, Delete
from resources_app.log.events import LoggedEvent
from resources_app.sealed_entries import sealing
from resources_app.store import ChangeResources


async def change_resources(
    changes: Sequence[Change], entry: Callable[[], Entry], *, is_batch: bool = False
) -> Sequence[LoggedEvent]:
    """Have changes committed, all or none; returns their events.

    What is to be encrypted gets its data key first. `entry` is asked for the audit entry once that is there, and is not
    asked when this is refused before. Raises what deciding a change raises, Replayed, and Unavailable while a key that
    it takes is not to be had.
    """

    def command(left: Entry, keys: Mapping[str, DataKey]) -> ChangeResources:
        sealed = sealing(left, changes, keys, is_batch=is_batch)
        return ChangeResources(changes=changes, entry=sealed, is_batch=is_batch, keys=keys)

    events: Sequence[LoggedEvent] = await submit_sealing(partial(_keys, changes), command, entry)
    return events


async def _keys(changes: Sequence[Change]) -> Mapping[str, DataKey]:
    """The data keys of what is to be encrypted, by URI; a deletion keeps no content."""
    providers = {
        change.uri: name
        for change in changes
        if (name := provider_of(change.uri)) is not None and not isinstance(change, Delete)
    }
    return {uri: await data_keys.key_of(uri, provider) for uri, provider in providers.items()}
