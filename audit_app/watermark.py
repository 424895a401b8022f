"""No work beyond what the audit trail can take: when too much waits to be moved, new work is refused, not unaudited.

Entries that wait are safe, but the main database is not without end. So each process looks once a second, off the path
of requests, at how much waits, and refuses above AUDIT_MAX_PENDING entries or AUDIT_MAX_LAG_SECONDS until that has
fallen to nine tenths. What may be asked all the same is reading the trail and telemetry: it helps to find out why.
Background work of our own, the mover first of all, is not refused.
"""

import logging
import time
from collections import Counter
from dataclasses import dataclass
from datetime import datetime

import orjson
from django.conf import settings

from audit_app.errors import Unavailable
from audit_app.models import OutboxEntry
from audit_app.queues import Queue, family_of

log = logging.getLogger(__name__)

EXACT = 10_000
SAMPLE_SECONDS = 1.0
REOPENS_AT = 0.9
RETRY_SECONDS = 5.0
ADMITTED = frozenset({"audit", "telemetry"})


class TrailFull(Unavailable):
    """Too many audit entries wait to be moved; nothing is done before they are."""

    retry_after = RETRY_SECONDS


@dataclass(frozen=True, slots=True)
class Backlog:
    """What waits in the outbox: at most so many entries, the oldest of them so many seconds old."""

    pending: int
    lag_seconds: float


def read_backlog() -> Backlog:
    """How much waits now, by the first and the last row alone, however many there are. Reads the database.

    Numbers are given in order and the mover takes the lowest first, so all that waits lies between the two. Numbers
    that a failed transaction took make the count too high, never too low.
    """
    rows = OutboxEntry.objects.order_by("id").values_list("id", "entry")
    first = rows.first()
    if first is None:
        return Backlog(0, 0.0)
    last = OutboxEntry.objects.order_by("-id").values_list("id", flat=True).first()
    return Backlog((last or first[0]) - first[0] + 1, age_of(first[1]))


def waiting_by_queue() -> dict[Queue, Backlog]:
    """The same for each queue; reads at most 20,000 rows, however many wait.

    While that is all of them, it is exact. Of more, the numbers of the first and the last row say how many there are,
    and the rows at both ends how they share out; the oldest of a queue is looked for among those rows.
    """
    first = OutboxEntry.objects.order_by("id").values_list("id", "queue")[:EXACT]
    rows = list(first)
    if not rows:
        return {queue: Backlog(0, 0.0) for queue in Queue}
    pending = len(rows)
    if pending == EXACT:
        last = OutboxEntry.objects.order_by("-id").values_list("id", "queue")[:EXACT]
        rows = sorted({*rows, *last})
        pending = max(len(rows), rows[-1][0] - rows[0][0] + 1)
    oldest: dict[int, int] = {}
    for id, queue in rows:
        oldest.setdefault(queue, id)
    texts = dict(OutboxEntry.objects.filter(id__in=oldest.values()).values_list("queue", "entry"))
    share = Counter(queue for _, queue in rows)
    return {
        queue: Backlog(
            round(pending * share[queue.value] / len(rows)), age_of(texts[queue.value]) if queue.value in texts else 0.0
        )
        for queue in Queue
    }


def age_of(entry: str) -> float:
    """Seconds since an entry of the outbox was made; 0 when the clock was set back since."""
    return max(0.0, time.time() - datetime.fromisoformat(orjson.loads(entry)["timestamp"]).timestamp())


class Watermark:
    """Whether this process takes work, by the last look. `backlog` is what was seen then."""

    def __init__(self) -> None:
        self.backlog = Backlog(0, 0.0)
        self.is_full = False

    def take(self, backlog: Backlog) -> None:
        """Draw the conclusions from a look."""
        self.backlog = backlog
        share = REOPENS_AT if self.is_full else 1.0
        most_seconds = settings.AUDIT_MAX_LAG_SECONDS
        is_full = backlog.pending > settings.AUDIT_MAX_PENDING * share or (
            most_seconds > 0 and backlog.lag_seconds > most_seconds * share
        )
        if is_full is not self.is_full:
            self.is_full = is_full
            state = "work is refused" if is_full else "work is taken again"
            log.warning(
                "%d audit entries wait to be moved, for up to %.0f s: %s", backlog.pending, backlog.lag_seconds, state
            )

    def describe(self) -> str:
        return f"{self.backlog.pending} waiting, the oldest for {self.backlog.lag_seconds:.0f} s"


watermark = Watermark()


def admit(action: str) -> None:
    """Raises TrailFull for a method that may not be run now."""
    if watermark.is_full and family_of(action) not in ADMITTED:
        raise TrailFull()
