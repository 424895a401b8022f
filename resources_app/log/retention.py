"""Retention: the log is trimmed from its tail, by age and by number; `earliest` remembers where it begins."""

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from django.conf import settings
from django.utils.timezone import now

from audit_app.bulk import Bulk, table_of
from audit_app.trail import Entry
from audit_app.writer import Decision, Store, writer
from resources_app.log.control import ControlEvent
from resources_app.log.head import CHANGES, CONTROL, bounds
from resources_app.models import ControlEvent as ControlRow
from resources_app.models import Event, LogHead

EVENT_OFFSETS = table_of(Event, "offset")
CONTROL_OFFSETS = table_of(ControlRow, "offset")
EARLIEST = table_of(LogHead, "stream", "earliest")
STEP = 1000
CONTROL_SECONDS = 24 * 3600


@dataclass(slots=True)
class Trimming:
    """The earliest offset of each stream, which only grows, and the offsets (with their streams) that go."""

    earliest: dict[str, int]
    gone: list[tuple[str, int]] = field(default_factory=list)


class RetentionStore(Store):
    """Deletes the oldest offsets of a stream, one step a transaction."""

    def load(self, db: Bulk, commands: Any) -> Trimming:
        rows = db.select(EARLIEST, "stream", [command.stream for command in commands], lock=True)
        return Trimming({str(stream): int(earliest) for stream, earliest in rows})

    def decide(self, state: Trimming, command: "Trim", at: datetime) -> Decision:
        start = state.earliest[command.stream]
        stop = max(start, command.stop)
        state.gone += [(command.stream, offset) for offset in range(start, stop)]
        state.earliest[command.stream] = stop
        events = [ControlEvent(kind="log.trimmed", subject=command.stream, data={"earliest": stop})]
        return Decision(result=stop - start, events=events if command.is_last else ())

    def save(self, db: Bulk, state: Trimming) -> None:
        for name, table in ((CHANGES, EVENT_OFFSETS), (CONTROL, CONTROL_OFFSETS)):
            db.delete(table, "offset", [offset for stream, offset in state.gone if stream == name])
        db.update(EARLIEST, "stream", list(state.earliest.items()))


STORE = RetentionStore()


@dataclass(frozen=True, slots=True, kw_only=True)
class Trim:
    """Delete the offsets below `stop`, which becomes the earliest unless it is further already; the result counts."""

    stream: str
    stop: int
    is_last: bool
    entry: Entry | None = None
    store: RetentionStore = STORE


def trim(stream: str, before: int) -> int:
    """Delete what lies below the offset `before`, in small steps. Returns how many events went."""
    count = 0
    for start in range(bounds()[stream].earliest, before, STEP):
        stop = min(start + STEP, before)
        count += writer.run(Trim(stream=stream, stop=stop, is_last=stop == before))
    return count


def trim_by_settings() -> int:
    """Trim both streams to what the settings keep. Returns how many events went."""
    moment = now()
    kept = bounds()
    changes = max(
        kept[CHANGES].head - settings.LOG_RETENTION_EVENTS + 1,
        _first_since(Event, moment - timedelta(seconds=settings.LOG_RETENTION_SECONDS), kept[CHANGES].head),
    )
    control = _first_since(ControlRow, moment - timedelta(seconds=CONTROL_SECONDS), kept[CONTROL].head)
    return trim(CHANGES, changes) + trim(CONTROL, control)


def _first_since(model: Any, moment: datetime, head: int) -> int:
    """The first offset that is not older than a moment; offsets and commit times grow together."""
    low, high = bounds_of(model, head)
    while low < high:
        middle = (low + high) // 2
        time = model.objects.filter(offset__gte=middle).order_by("offset").values_list("time", flat=True).first()
        if time is not None and time < moment:
            low = middle + 1
        else:
            high = middle
    return low


def bounds_of(model: Any, head: int) -> tuple[int, int]:
    """The first offset of a table, and one behind its last."""
    first = model.objects.order_by("offset").values_list("offset", flat=True).first()
    return (first if first is not None else head + 1), head + 1
