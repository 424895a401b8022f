"""Topics: what is followed, with a bounded tail of its latest events that all its followers share."""

from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from itertools import takewhile
from typing import Any

from resources_app.hub.bases import texts_for, was_sent
from resources_app.hub.followers import Follower, Following, Form
from resources_app.log.events import LoggedEvent
from resources_app.patterns import Pattern, Reach
from resources_app.state import ResourceState

MAX_TAIL_EVENTS = 2048
MAX_TAIL_BYTES = 2 * 1024 * 1024
MAX_PAYLOAD_BYTES = 256 * 1024
EVENT_OVERHEAD_BYTES = 512


def size_of(event: LoggedEvent) -> int:
    """About how many bytes an event has as JSON."""
    return len(event.after.body) + EVENT_OVERHEAD_BYTES


@dataclass(frozen=True, slots=True)
class Chunk:
    """Some events of a topic in one payload; `last` is the offset of the last one."""

    payload: Any
    last: int
    count: int


class Topic:
    """One pattern with one choice of event types. The tail holds every matching event above `floor`.

    `began` is where the first began of those followers that take deltas, or took them; None while there was none. `cut`
    counts the followers that were cut off because their clients did not read.
    """

    __slots__ = (
        *("began", "cut", "events", "floor", "followers", "pattern", "tail"),
        *("_bytes", "_chunks", "_compared", "_offsets", "_sizes"),
    )

    def __init__(self, pattern: Pattern, events: frozenset[str], floor: int) -> None:
        self.pattern = pattern
        self.events = events
        self.floor = floor
        self.followers: dict[Follower, None] = {}
        self.began: int | None = None
        self.cut = 0
        self.tail: list[LoggedEvent] = []
        self._offsets: list[int] = []
        self._sizes: list[int] = []
        self._bytes = 0
        self._chunks: dict[tuple[int, int, bool, int | None, Form], Chunk] = {}
        self._compared: dict[tuple[int, int], tuple[list[LoggedEvent], list[int]]] = {}

    @property
    def last(self) -> int:
        """The offset of the latest event, or the floor."""
        return self._offsets[-1] if self._offsets else self.floor

    def waiting_since(self, cursor: int) -> datetime | None:
        """When the oldest event behind a cursor was committed, as far as the tail knows; None when there is none."""
        return self.tail[bisect_right(self._offsets, cursor)].time if cursor < self.last and self.tail else None

    def add(self, follower: Follower) -> None:
        """Register a follower, before anything is delivered to it."""
        self.followers[follower] = None
        if follower.began is not None:
            self.began = follower.began if self.began is None else min(self.began, follower.began)

    def has_sent(self, base: ResourceState) -> bool:
        """Whether a follower that takes deltas may have been sent the base of an update."""
        return self.began is not None and was_sent(base, self.events, self.began)

    def append(self, event: LoggedEvent) -> None:
        """Add an event; the oldest half is dropped when the tail has grown past its bounds."""
        size = size_of(event)
        self.tail.append(event)
        self._offsets.append(event.offset)
        self._sizes.append(size)
        self._bytes += size + self._base_bytes(event)
        self._chunks.clear()
        self._compared.clear()
        while len(self.tail) > MAX_TAIL_EVENTS or self._bytes > MAX_TAIL_BYTES:
            self._drop_oldest()

    def restart(self, floor: int) -> None:
        """Forget the tail: what lies between it and `floor` is not known here."""
        self.floor = floor
        self._bytes = 0
        self.tail.clear()
        self._offsets.clear()
        self._sizes.clear()
        self._chunks.clear()
        self._compared.clear()

    def chunk(self, after: int, limit: int, include_content: bool, began: int | None, form: Form) -> Chunk | None:
        """What follows the offset `after`, as one payload of bounded size; None when nothing does, or not yet.

        `began` is that of the follower. Followers that differ in nothing else share a payload when they have been sent
        the same bases.
        """
        if after >= self.last:
            return None
        events, lacking = (None, None) if began is None else self._with_deltas(after, limit, began)
        key = (after, limit, include_content, lacking, form)
        chunk = self._chunks.get(key)
        if chunk is None:
            if events is None:
                events = self._pending(after, limit)
            if not events:
                return None
            texts = texts_for(events, self.events, include_content, began)
            chunk = self._chunks[key] = Chunk(form(events, texts), events[-1].offset, len(events))
        return chunk

    def _with_deltas(self, after: int, limit: int, began: int) -> tuple[list[LoggedEvent], int]:
        """What is pending up to the first event that is still compared, and how many of the bases are too old.

        As no two events have the same base, that number tells which they are.
        """
        compared = self._compared.get((after, limit))
        if compared is None:
            events = list(takewhile(lambda event: not event.is_comparing, self._pending(after, limit)))
            bases = sorted(event.base.offset for event in events if event.base is not None)
            compared = events, bases
            if events:
                self._compared[after, limit] = compared
        events, bases = compared
        return events, bisect_right(bases, began)

    def _pending(self, after: int, limit: int) -> list[LoggedEvent]:
        """At most `limit` events behind `after`, of bounded size unless the first alone is larger."""
        start = bisect_right(self._offsets, after)
        stop, size = start, 0
        end = min(len(self.tail), start + limit)
        while stop < end and (stop == start or size + self._sizes[stop] <= MAX_PAYLOAD_BYTES):
            size += self._sizes[stop]
            stop += 1
        return self.tail[start:stop]

    def _drop_oldest(self) -> None:
        count = max(1, len(self.tail) // 2)
        self.floor = self._offsets[count - 1]
        del self.tail[:count], self._offsets[:count], self._sizes[:count]
        self._bytes = sum(self._sizes) + sum(map(self._base_bytes, self.tail))

    def _base_bytes(self, event: LoggedEvent) -> int:
        """How many bytes are kept for the base of an event, if no other event of the tail has them too."""
        base = event.base
        if base is None or (base.offset > self.floor and "created" in self.events):
            return 0
        return len(base.body)


class Topics:
    """Every topic of a process: exact ones found by their URI, patterns by the prefixes of a URI."""

    def __init__(self) -> None:
        self._exact: dict[str, dict[frozenset[str], Topic]] = {}
        self._patterns: dict[Pattern, dict[frozenset[str], Topic]] = {}

    def of(self, following: Following, floor: int) -> Topic:
        """The topic of a following, made with this floor if it is new."""
        topics = self._group(following.pattern)
        topic = topics.get(following.events)
        if topic is None:
            topic = topics[following.events] = Topic(following.pattern, following.events, floor)
        return topic

    def take(self, event: LoggedEvent, before: ResourceState | None) -> list[Topic]:
        """Add an event to the topics that it belongs to, and return them.

        `before` is the latest state of its resource that was known, which need not be the one before the event.
        """
        topics = list(self.matching(event))
        if before is not None:
            for topic in topics:
                if topic.has_sent(before):
                    event.find_base(before)
        for topic in topics:
            topic.append(event)
        return topics

    def skip(self, event: LoggedEvent) -> list[Topic]:
        """Have the topics of an event that is not to be had here begin behind it: their followers read the log."""
        topics = list(self.matching(event))
        for topic in topics:
            topic.restart(event.offset)
        return topics

    def drop(self, topic: Topic) -> None:
        """Forget a topic that nobody follows any more."""
        topics = self._group(topic.pattern)
        if topics.get(topic.events) is topic:
            del topics[topic.events]
        if not topics:
            if topic.pattern.is_exact:
                del self._exact[topic.pattern.prefix]
            else:
                del self._patterns[topic.pattern]

    def matching(self, event: LoggedEvent) -> Iterator[Topic]:
        """The topics that an event belongs to."""
        yield from _taking(self._exact.get(event.uri), event.type)
        if self._patterns:
            for pattern in _patterns_above(event.uri):
                yield from _taking(self._patterns.get(pattern), event.type)

    def around(self, uri: str) -> list[Topic]:
        """The topics that events of a URI belong to."""
        groups = [self._exact.get(uri), *map(self._patterns.get, _patterns_above(uri))]
        return [topic for group in groups if group for topic in group.values()]

    def __iter__(self) -> Iterator[Topic]:
        for group in (*self._exact.values(), *self._patterns.values()):
            yield from group.values()

    def _group(self, pattern: Pattern) -> dict[frozenset[str], Topic]:
        if pattern.is_exact:
            return self._exact.setdefault(pattern.prefix, {})
        return self._patterns.setdefault(pattern, {})


def _taking(topics: dict[frozenset[str], Topic] | None, kind: str) -> Iterator[Topic]:
    for topic in topics.values() if topics else ():
        if kind in topic.events:
            yield topic


def _patterns_above(uri: str) -> Iterator[Pattern]:
    """Every pattern that covers a URI: each of its parents with /*, and the nearest with /+."""
    start = uri.index("://") + 3
    slash = uri.find("/", start)
    last = uri.rfind("/")
    while slash != -1:
        if slash + 1 < len(uri):
            yield Pattern(uri[: slash + 1], Reach.BELOW)
        slash = uri.find("/", slash + 1)
    if last >= start and last + 1 < len(uri):
        yield Pattern(uri[: last + 1], Reach.LEVEL)
