"""What the databases hold, as gauges: counted when somebody scrapes, so the same on every process (contract §9)."""

import contextlib
import time
from datetime import datetime

import orjson
from django.conf import settings
from django.db import DatabaseError, InterfaceError
from django.db.models import Count, Min

from audit_app.database import in_database
from audit_app.models import OutboxEntry
from audit_app.sinks.measures import measure_sinks
from audit_app.trail import Queue
from resources_app.models import Subscription
from sessions_app.models import Session
from sessions_app.states import LIVING
from telemetry_app.metrics import AUDIT_LAG, AUDIT_PENDING, SESSIONS, SUBSCRIPTIONS

FRESH_SECONDS = 1.0


class Census:
    """Counts at most once in `FRESH_SECONDS`."""

    def __init__(self) -> None:
        self._taken_at = 0.0

    async def take(self) -> None:
        """Bring the gauges up to date. Raises what the database raises."""
        if time.monotonic() - self._taken_at > FRESH_SECONDS:
            await in_database(_count)
            self._taken_at = time.monotonic()


census = Census()


def _count() -> None:
    sessions = dict(Session.objects.values_list("state").annotate(Count("id")))
    for state in LIVING:
        SESSIONS.labels(state.value).set(sessions.get(state.value, 0))
    SUBSCRIPTIONS.set(Subscription.objects.count())
    waiting = {
        queue: (count, oldest)
        for queue, count, oldest in OutboxEntry.objects.values_list("queue").annotate(Count("id"), Min("id"))
    }
    for queue in Queue:
        count, oldest = waiting.get(queue.value, (0, None))
        AUDIT_PENDING.labels(queue.name.lower()).set(count)
        AUDIT_LAG.labels(queue.name.lower()).set(_age(oldest))
    if settings.AUDIT_SINKS:
        # without the audit database, which nothing else here needs, the sinks' gauges stay what they were
        with contextlib.suppress(DatabaseError, InterfaceError):
            measure_sinks(settings.AUDIT_SINKS)


def _age(outbox_id: int | None) -> float:
    """Seconds since an entry was made; 0 when there is none, or when it has been moved meanwhile."""
    waiting = OutboxEntry.objects.none() if outbox_id is None else OutboxEntry.objects.filter(id=outbox_id)
    text = waiting.values_list("entry", flat=True).first()
    if text is None:
        return 0.0
    return max(0.0, time.time() - datetime.fromisoformat(orjson.loads(text)["timestamp"]).timestamp())
