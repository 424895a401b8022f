"""Changing resources: what a change needs is made ready before it is given to the writer."""

import asyncio
from collections.abc import Callable, Mapping, Sequence

from audit_app.commands import Record
from audit_app.errors import Refusal, Unavailable
from audit_app.trail import Entry
from audit_app.writer import writer
from encryption_app.data_keys import MAX_ROUNDS, NOT_HELD, data_keys
from encryption_app.envelope import DataKey
from encryption_app.errors import KeysMissing
from encryption_app.policy import provider_of
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
    keys = await _keys(changes)
    left = entry()
    for _ in range(MAX_ROUNDS):
        command = ChangeResources(
            changes=changes, entry=sealing(left, changes, keys, is_batch=is_batch), is_batch=is_batch, keys=keys
        )
        try:
            events: Sequence[LoggedEvent] = await writer.submit(command)
        except KeysMissing as missing:
            lacks = missing
        else:
            return events
        try:
            await data_keys.bring(lacks)
            keys = await _keys(changes)
        except Refusal as refusal:
            await writer.submit(Record(entry=left, refusal=refusal))
            raise
        except asyncio.CancelledError:
            writer.note(Record(entry=left, refusal=Unavailable()))
            raise
    late = Unavailable(NOT_HELD)
    await writer.submit(Record(entry=left, refusal=late))
    raise late


async def _keys(changes: Sequence[Change]) -> Mapping[str, DataKey]:
    """The data keys of what is to be encrypted, by URI; a deletion keeps no content."""
    providers = {
        change.uri: name
        for change in changes
        if (name := provider_of(change.uri)) is not None and not isinstance(change, Delete)
    }
    return {uri: await data_keys.key_of(uri, provider) for uri, provider in providers.items()}
