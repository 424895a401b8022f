"""Reading a part of the log for followers: events as they are told, and the bounds that prove them whole."""

import asyncio
from bisect import bisect_right
from collections.abc import Sequence
from itertools import accumulate

from resources_app.hub.bases import find_bases
from resources_app.hub.locks import open_events
from resources_app.log.events import LoggedEvent
from resources_app.log.head import CHANGES, Bounds, bounds
from resources_app.log.read import read_changes, sizes_of_changes
from resources_app.patterns import Pattern
from resources_app.sealed import is_locked

LOAD_EVENTS = 512
LOAD_BYTES = 1024 * 1024


def read_part(pattern: Pattern, has_deltas: bool, after: int, upto: int) -> tuple[list[LoggedEvent], int, Bounds]:
    """Events, up to where they are complete, then the bounds: had anything been trimmed before, those would tell.

    Sizes are read before contents, so that no more is in memory than LOAD_BYTES, or one event.
    With deltas events are compared here, with those bases that are among them; what was read before is not kept. Where
    content is locked, that has to wait until `open_part`.
    """
    sizes = sizes_of_changes(after, LOAD_EVENTS, pattern=pattern, upto=upto)
    count = max(1, bisect_right(list(accumulate(size for _, size in sizes)), LOAD_BYTES))
    if count < len(sizes) or len(sizes) == LOAD_EVENTS:
        upto = sizes[count - 1][0]
    events = read_changes(after, count, pattern=pattern, upto=upto) if sizes else []
    kept = bounds()[CHANGES].of(pattern)
    if has_deltas and not _is_locked(events):
        _compare(events)
    return events, upto, kept


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
