"""Retention: the log is trimmed from its tail; where each part of it begins is remembered."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import orjson
from django.db.models import Q, QuerySet

from audit_app.bulk import Bulk, table_of
from audit_app.commands import Decision, Store
from audit_app.trail import Entry
from audit_app.writer import writer
from resources_app.log.control import LOG_TRIMMED, ControlEvent
from resources_app.log.head import CHANGES, CONTROL, bounds
from resources_app.log.prefixes import REST, divided
from resources_app.log.read import of_prefix
from resources_app.models import ControlEvent as ControlRow
from resources_app.models import Event, LogHead

EVENT_OFFSETS = table_of(Event, "offset")
CONTROL_OFFSETS = table_of(ControlRow, "offset")
BEGINNINGS = table_of(LogHead, "stream", "earliest", "prefixes")
STEP = 1000


@dataclass(slots=True)
class Trimming:
    """Where the parts of each stream begin, which only grows, and the offsets (with their streams) that go."""

    parts: dict[str, dict[str, int]]
    gone: list[tuple[str, int]] = field(default_factory=list)


class RetentionStore(Store):
    """Deletes the oldest events of a part of a stream, one step a transaction."""

    def load(self, db: Bulk, commands: Any) -> Trimming:
        rows = db.select(BEGINNINGS, "stream", [command.stream for command in commands], lock=True)
        return Trimming({stream: {REST: earliest, **orjson.loads(prefixes)} for stream, earliest, prefixes in rows})

    def decide(self, state: Trimming, command: "Trim | Divide", at: datetime) -> Decision:
        return command.apply(state)

    def save(self, db: Bulk, state: Trimming) -> None:
        for name, table in ((CHANGES, EVENT_OFFSETS), (CONTROL, CONTROL_OFFSETS)):
            db.delete(table, "offset", [offset for stream, offset in state.gone if stream == name])
        db.update(BEGINNINGS, "stream", [_row(stream, parts) for stream, parts in state.parts.items()])


STORE = RetentionStore()


@dataclass(frozen=True, slots=True, kw_only=True)
class Trim:
    """Have a part of a stream begin at `stop`, unless it begins later already, and delete these offsets below it.

    The result counts the events that go; None, and nothing is done, when the stream is not divided among these
    prefixes any more.
    """

    stream: str
    stop: int
    offsets: Sequence[int]
    is_last: bool
    prefix: str = REST
    among: frozenset[str] = frozenset({REST})
    entry: Entry | None = None
    store: RetentionStore = STORE

    def apply(self, state: Trimming) -> Decision:
        parts = state.parts[self.stream]
        if parts.keys() != self.among:
            return Decision(result=None)
        start = parts[self.prefix]
        gone = [(self.stream, offset) for offset in self.offsets if start <= offset < self.stop]
        state.gone += gone
        stop = parts[self.prefix] = max(start, self.stop)
        told = ControlEvent(kind=LOG_TRIMMED, subject=self.stream, data={"prefix": self.prefix, "earliest": stop})
        return Decision(result=len(gone), events=[told] if self.is_last else ())


@dataclass(frozen=True, slots=True, kw_only=True)
class Divide:
    """Make every prefix a part of its own, and give up the parts that are not needed any more."""

    prefixes: frozenset[str]
    stream: str = CHANGES
    entry: Entry | None = None
    store: RetentionStore = STORE

    def apply(self, state: Trimming) -> Decision:
        state.parts[self.stream] = divided(state.parts[self.stream], self.prefixes)
        return Decision()


def trim(stream: str, before: int, prefix: str = REST) -> int:
    """Delete what lies below an offset in a part of a stream, in small steps. Returns how many events went."""
    count = 0
    parts = bounds()[stream].parts
    start = parts[prefix]
    while start < before:
        offsets = _oldest(stream, prefix, parts, start, before)
        is_last = len(offsets) < STEP
        stop = before if is_last else offsets[-1] + 1
        step = Trim(stream=stream, prefix=prefix, among=frozenset(parts), stop=stop, offsets=offsets, is_last=is_last)
        gone: int | None = writer.run(step)
        if gone is None:
            break
        count += gone
        start = stop
    return count


def trim_to_latest(events: int) -> int:
    """Keep only the latest events of the stream `changes`, whatever they belong to. Returns how many events went."""
    kept = bounds()[CHANGES]
    stop = kept.head - events + 1
    if stop < kept.skipped_to:
        # offsets that never were are no events
        excess = Event.objects.filter(offset__lte=kept.head).order_by("-offset").values_list("offset", flat=True)
        stop = (excess[events : events + 1].first() or 0) + 1
    return sum(trim(CHANGES, stop, prefix) for prefix in kept.parts)


def _oldest(stream: str, prefix: str, parts: dict[str, int], start: int, before: int) -> list[int]:
    """The oldest offsets of a part from `start` on and below `before`: at most one step of them."""
    wanted = Q(offset__gte=start, offset__lt=before)
    rows: QuerySet[Any]
    if stream == CONTROL:
        rows = ControlRow.objects.filter(wanted)
    else:
        rows = of_prefix(Event.objects.filter(wanted), prefix, parts)
    return list(rows.order_by("offset").values_list("offset", flat=True)[:STEP])


def _row(stream: str, parts: dict[str, int]) -> tuple[str, int, str]:
    prefixes = {prefix: earliest for prefix, earliest in parts.items() if prefix != REST}
    return stream, parts[REST], orjson.dumps(prefixes).decode()
