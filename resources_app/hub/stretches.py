"""Stretches: parts of the log that several followers are replayed, with the payloads that they share."""

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass, field

from resources_app.hub.bases import texts_for
from resources_app.hub.followers import Follower, Form
from resources_app.hub.topics import MAX_PAYLOAD_BYTES, Chunk, size_of
from resources_app.log.events import LoggedEvent

MAX_PAYLOADS = 4
COPIES = 2 + MAX_PAYLOADS
"""How often the size of its events a stretch may take up: their content, their texts, and payloads."""

PayloadKey = tuple[int, frozenset[str], int, bool, int | None, Form]


@dataclass(frozen=True, slots=True)
class Portion:
    """What of a stretch a follower is delivered at once, None for nothing; with it the follower is at `cursor`."""

    chunk: Chunk | None
    cursor: int


@dataclass(eq=False, slots=True)
class Stretch:
    """Every event of one pattern with an offset above `after` and not above `upto`; no more than fit into one payload.

    `is_full`: there was no room for the event behind `upto`. `sealers` are the data keys under which content of its
    events is kept. `size` is about how many bytes it takes up, at most.
    """

    events: Sequence[LoggedEvent]
    after: int
    upto: int
    is_full: bool = False
    sealers: frozenset[str] = field(init=False)
    size: int = field(init=False)
    _wanted: dict[frozenset[str], tuple[Sequence[LoggedEvent], Sequence[int]]] = field(default_factory=dict)
    _payloads: dict[PayloadKey, Chunk] = field(default_factory=dict)

    def __post_init__(self) -> None:
        states = (event.after for event in self.events)
        self.sealers = frozenset(state.sealed_by for state in states if state.body) - {""}
        self.size = sum(map(size_of, self.events)) * COPIES

    def covers(self, cursor: int) -> bool:
        """Whether a follower finds here what comes next."""
        return self.after <= cursor < self.upto

    def rest(self, cursor: int) -> int:
        """How many events lie behind a cursor."""
        return sum(event.offset > cursor for event in self.events)

    def portion(self, follower: Follower) -> Portion:
        """What comes next for a follower. Payloads are shared as those of a topic's tail are."""
        kinds = follower.topic.events
        wanted, offsets = self._of(kinds)
        start = bisect_right(offsets, follower.cursor)
        if start == len(wanted):
            return Portion(None, self.upto)
        stop = min(start + follower.batch_size, len(wanted))
        chunk = self._chunk(wanted[start:stop], follower)
        return Portion(chunk, self.upto if stop == len(wanted) else chunk.last)

    def _of(self, kinds: frozenset[str]) -> tuple[Sequence[LoggedEvent], Sequence[int]]:
        found = self._wanted.get(kinds)
        if found is None:
            events = [event for event in self.events if event.type in kinds]
            found = self._wanted[kinds] = events, [event.offset for event in events]
        return found

    def _chunk(self, events: Sequence[LoggedEvent], follower: Follower) -> Chunk:
        kinds, began = follower.topic.events, follower.began
        lacking = None
        if began is not None:
            lacking = sum(event.base is not None and event.base.offset <= began for event in events)
        key = (events[0].offset, kinds, len(events), follower.include_content, lacking, follower.form)
        chunk = self._payloads.pop(key, None)
        if chunk is None:
            texts = texts_for(events, kinds, follower.include_content, began)
            chunk = Chunk(follower.form(events, texts), events[-1].offset, len(events))
            if len(self._payloads) == MAX_PAYLOADS:
                del self._payloads[next(iter(self._payloads))]
        # the one that was used last is dropped last
        self._payloads[key] = chunk
        return chunk


def divide(events: Sequence[LoggedEvent], after: int, upto: int) -> list[Stretch]:
    """Stretches of bounded size, one behind the other, of all events of a pattern in a part of the log."""
    stretches: list[Stretch] = []
    start = size = 0
    for index, event in enumerate(events):
        if index > start and size + size_of(event) > MAX_PAYLOAD_BYTES:
            last = events[index - 1].offset
            stretches.append(Stretch(events[start:index], after, last, is_full=True))
            start, size, after = index, 0, last
        size += size_of(event)
    if after < upto:
        stretches.append(Stretch(events[start:], after, upto))
    return stretches
