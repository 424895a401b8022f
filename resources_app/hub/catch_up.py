"""Bringing a follower from its cursor to its topic's tail, by reading the log."""

import asyncio
from collections import Counter
from collections.abc import Callable, Iterator

from audit_app.database import in_database
from encryption_app.errors import ContentTampered
from resources_app.hub.bases import find_bases, texts_for
from resources_app.hub.followers import Follower
from resources_app.hub.locks import open_events
from resources_app.hub.topics import MAX_PAYLOAD_BYTES, size_of
from resources_app.log.events import LoggedEvent
from resources_app.log.head import CHANGES, Bounds, bounds
from resources_app.log.read import read_changes
from resources_app.patterns import Pattern
from resources_app.sealed import is_locked

FIRST_READ_EVENTS = 64
READ_BYTES = 1024 * 1024


def _never() -> bool:
    return False


async def catch_up(
    follower: Follower, position: Callable[[], int], sent: Counter[str], stop: Callable[[], bool] = _never
) -> Bounds | None:
    """Deliver from the log until the follower's cursor is in its topic's tail, or `stop` says that it is enough.

    Nothing is delivered that the process has not seen itself: `position` says how far that is, so whoever is told of a
    change can read it here. Reads grow and shrink with the size of what they find, so that large resources do not fill
    the memory. Returns None at the tail, or the log's bounds when what the follower needs next has been trimmed, or is
    not what was written. Raises Unavailable while the keys of what is encrypted are not to be had.
    """
    topic = follower.topic
    limit = FIRST_READ_EVENTS
    while follower.attached and follower.cursor < topic.floor and not stop():
        reached = position()
        takes_deltas = follower.began is not None
        events, kept = await in_database(_read, follower.cursor, limit, topic.pattern, reached, takes_deltas)
        if kept.earliest > follower.cursor + 1:
            return kept
        if _is_locked(events):
            try:
                await open_events(events)
            except ContentTampered:
                return kept
            if takes_deltas:
                await asyncio.to_thread(_compare, events)
        wanted = [event for event in events if event.type in topic.events]
        for some in _portions(wanted, follower.batch_size):
            await _deliver(follower, some)
            follower.cursor = some[-1].offset
            sent[follower.outlet.transport] += len(some)
            if stop():
                return None
        if events:
            follower.cursor = events[-1].offset
        if len(events) < limit:
            follower.cursor = max(follower.cursor, reached)
        size = sum(map(size_of, events))
        limit = max(1, min(limit * 2, limit * READ_BYTES // max(size, 1)))
    return None


async def _deliver(follower: Follower, events: list[LoggedEvent]) -> None:
    loop = asyncio.get_running_loop()
    if follower.throttle:
        await asyncio.sleep(max(0.0, follower.not_before - loop.time()))
        follower.not_before = loop.time() + follower.throttle
    follower.sent_at = follower.busy_since = loop.time()
    texts = texts_for(events, follower.topic.events, follower.include_content, follower.began)
    await follower.deliver(follower.subscription, follower.form(events, texts), events[-1].offset)
    follower.busy_since = None


def _portions(events: list[LoggedEvent], batch_size: int) -> Iterator[list[LoggedEvent]]:
    """The events in portions of at most `batch_size`, and of bounded size unless one event alone is larger."""
    some: list[LoggedEvent] = []
    size = 0
    for event in events:
        if some and (len(some) == batch_size or size + size_of(event) > MAX_PAYLOAD_BYTES):
            yield some
            some, size = [], 0
        some.append(event)
        size += size_of(event)
    if some:
        yield some


def _read(after: int, limit: int, pattern: Pattern, upto: int, takes_deltas: bool) -> tuple[list[LoggedEvent], Bounds]:
    """Events, then the bounds: had anything that was asked for been trimmed before, the bounds would tell.

    With deltas they are compared here, with those bases that are among them; what was read before is not kept. Where
    content is locked, that has to wait.
    """
    events = read_changes(after, limit, pattern=pattern, upto=upto)
    kept = bounds()[CHANGES].of(pattern)
    if takes_deltas and not _is_locked(events):
        _compare(events)
    return events, kept


def _is_locked(events: list[LoggedEvent]) -> bool:
    return any(is_locked(event.after) for event in events)


def _compare(events: list[LoggedEvent]) -> None:
    find_bases(events)
    for event in events:
        event.delta_text()
