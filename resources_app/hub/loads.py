"""Reading a part of the log for followers: events as they are told, and the bounds that prove them whole."""

import asyncio
from collections.abc import Sequence

from resources_app.hub.bases import find_bases
from resources_app.hub.locks import open_events
from resources_app.log.events import LoggedEvent
from resources_app.log.head import CHANGES, Bounds, bounds
from resources_app.log.read import read_changes
from resources_app.patterns import Pattern
from resources_app.sealed import is_locked


def read_part(
    pattern: Pattern, has_deltas: bool, after: int, limit: int, upto: int
) -> tuple[list[LoggedEvent], Bounds]:
    """Events, then the bounds: had anything that was asked for been trimmed before, the bounds would tell.

    With deltas they are compared here, with those bases that are among them; what was read before is not kept. Where
    content is locked, that has to wait until `open_part`.
    """
    events = read_changes(after, limit, pattern=pattern, upto=upto)
    kept = bounds()[CHANGES].of(pattern)
    if has_deltas and not _is_locked(events):
        _compare(events)
    return events, kept


async def open_part(events: Sequence[LoggedEvent], has_deltas: bool) -> None:
    """Open what is locked. Raises Unavailable for want of a key, and ContentTampered."""
    if _is_locked(events):
        await open_events(events)
        if has_deltas:
            await asyncio.to_thread(_compare, events)


def _is_locked(events: Sequence[LoggedEvent]) -> bool:
    return any(is_locked(event.after) for event in events)


def _compare(events: Sequence[LoggedEvent]) -> None:
    find_bases(events)
    for event in events:
        event.delta_text()
