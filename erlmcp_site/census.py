"""What the databases hold, as gauges: counted when somebody scrapes, so the same on every process (contract §9)."""

import asyncio
import contextlib
import time

from django.conf import settings
from django.db import DatabaseError, InterfaceError
from django.db.models import Count

from audit_app import pools  # noqa: F401  # measures whenever somebody looks
from audit_app.breaker import PartAway
from audit_app.chain.measures import measure_trail, read_witness
from audit_app.database import in_database, in_trail
from audit_app.models import Witness
from audit_app.sinks.measures import measure_sinks
from audit_app.watermark import waiting_by_queue
from resources_app.log.measures import measure_subscriptions
from sessions_app.models import Session
from sessions_app.states import LIVING
from telemetry_app.exporters.sending import sending
from telemetry_app.metrics import AUDIT_LAG, AUDIT_PENDING, SESSIONS

FRESH_SECONDS = 1.0
PATIENCE_SECONDS = 5.0


class Census:
    """Counts at most once in `FRESH_SECONDS`."""

    def __init__(self) -> None:
        self._taken_at = 0.0

    async def take(self) -> None:
        """Bring the gauges up to date. Raises what the database raises."""
        if time.monotonic() - self._taken_at > FRESH_SECONDS:
            witness = await in_database(_count)
            # without the audit database, which nothing else here needs, its gauges stay what they were
            with contextlib.suppress(PartAway, DatabaseError, InterfaceError):
                await in_trail(_measure_trail, witness)
            self._taken_at = time.monotonic()


census = Census()


def take_census() -> None:
    """The same for a thread, which waits no longer than `PATIENCE_SECONDS`. Raises what the database raises."""
    asyncio.run(asyncio.wait_for(census.take(), PATIENCE_SECONDS))


sending.before_each(take_census)


def _count() -> Witness | None:
    sessions = dict(Session.objects.values_list("state").annotate(Count("id")))
    for state in LIVING:
        SESSIONS.labels(state.value).set(sessions.get(state.value, 0))
    measure_subscriptions()
    for queue, waiting in waiting_by_queue().items():
        AUDIT_PENDING.labels(queue.name.lower()).set(waiting.pending)
        AUDIT_LAG.labels(queue.name.lower()).set(waiting.lag_seconds)
    return read_witness()


def _measure_trail(witness: Witness | None) -> None:
    measure_trail(witness)
    measure_sinks(settings.AUDIT_SINKS)
