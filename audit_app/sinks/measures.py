"""How sinks fare, as metrics; counted from their rows, so that every process tells the same."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from django.db.models import Count
from django.utils.timezone import now

from audit_app.models import DeadLetter, Sink
from audit_app.queries import trail_head
from audit_app.sinks.state import entries_behind
from telemetry_app.metrics import SINK_DEAD_LETTERS, SINK_DELIVERED, SINK_FAILURES, SINK_LAG, SINK_LAG_SECONDS


@dataclass(frozen=True, slots=True)
class Lag:
    """What a sink has yet to deliver; `oldest` is when the first of it happened, None when there is none."""

    entries: int
    oldest: datetime | None

    @property
    def seconds(self) -> float:
        """The age of the entry that has waited longest; 0 when a clock has been stepped back behind it."""
        return max(0.0, (now() - self.oldest).total_seconds()) if self.oldest else 0.0


def lag_of(cursor: int) -> Lag:
    """What lies behind a cursor."""
    return Lag(max(0, trail_head() - cursor), next((entry.timestamp for entry in entries_behind(cursor, 1)), None))


def measure_sinks(names: Iterable[str]) -> None:
    """Bring the gauges of the sinks up to date. Raises django.db.DatabaseError."""
    rows = {sink.name: sink for sink in Sink.objects.filter(name__in=names)}
    letters = dict(DeadLetter.objects.values_list("sink").annotate(Count("id")))
    for name in names:
        sink = rows.get(name) or Sink(name=name)
        lag = lag_of(sink.cursor)
        SINK_LAG.labels(name).set(lag.entries)
        SINK_LAG_SECONDS.labels(name).set(lag.seconds)
        SINK_DELIVERED.labels(name).set(sink.delivered)
        SINK_DEAD_LETTERS.labels(name).set(letters.get(name, 0))
        SINK_FAILURES.labels(name).set(sink.failures)
