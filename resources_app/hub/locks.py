"""Events out of the log whose content is encrypted: opened before anybody is handed them (docs/encryption.md)."""

import contextlib
from collections.abc import Sequence
from dataclasses import replace
from functools import partial

from audit_app.errors import Unavailable
from encryption_app.data_keys import data_keys
from encryption_app.errors import ContentDestroyed, ContentTampered, KeysMissing
from resources_app.log.events import LoggedEvent
from resources_app.sealed import is_locked, lacking, opened

CONTENT_DESTROYED = "content.destroyed"
"""The kind of the control event that tells every node of it; the subject is the data key, `uri` the resource."""


async def open_events(events: Sequence[LoggedEvent]) -> None:
    """Open those events that are locked; of content that was destroyed they tell just that.

    Raises Unavailable for want of a key, and ContentTampered.
    """
    if any(is_locked(event.after) for event in events):
        await data_keys.opening(partial(_open_all, events))


async def open_what_can_be(events: Sequence[LoggedEvent]) -> None:
    """Open as many events as possible, each for itself; the others stay locked."""
    locked = [event for event in events if is_locked(event.after)]
    if not locked:
        return
    # the keys of the others are held all the same
    with contextlib.suppress(Unavailable, ContentTampered):
        await data_keys.fetch(lacking(event.after for event in locked))
    for event in locked:
        with contextlib.suppress(KeysMissing, ContentTampered):
            _open(event)


async def _open_all(events: Sequence[LoggedEvent]) -> None:
    missing: set[str] = set()
    for event in events:
        try:
            _open(event)
        except KeysMissing as lacks:
            missing |= lacks.ids
    if missing:
        raise KeysMissing(missing)


def _open(event: LoggedEvent) -> None:
    try:
        event.after = opened(event.after)
    except ContentDestroyed:
        event.after = replace(event.after, body=b"", is_destroyed=True)
