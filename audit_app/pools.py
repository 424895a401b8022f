"""How busy threads and connections are, as gauges; read whenever somebody looks at the metrics of this process."""

from collections.abc import Iterable
from typing import Any

from django.db import connections

from audit_app.database import Readers, main_readers, trail_readers
from telemetry_app.metrics import DATABASE_CONNECTIONS, THREADS_AWAITED, THREADS_BUSY
from telemetry_app.reporter import reporter


def measure_pools(pools: Iterable[Readers] = (main_readers, trail_readers)) -> None:
    """Bring the gauges up to date; asks no database."""
    for pool in pools:
        THREADS_BUSY.labels(pool.strategy.part).set(pool.threads)
        THREADS_AWAITED.labels(pool.strategy.part).set(pool.waiting)
    for alias in connections:
        connection: Any = connections[alias]
        if connection.vendor != "postgresql":
            continue
        # not `connection.pool`, which would make one where nobody has asked the database yet
        pool = type(connection)._connection_pools.get(alias)
        if pool is not None:
            told = pool.get_stats()
            idle = told.get("pool_available", 0)
            for state, count in (
                ("busy", told.get("pool_size", 0) - idle),
                ("idle", idle),
                ("waiting", told.get("requests_waiting", 0)),
            ):
                DATABASE_CONNECTIONS.labels(alias, state).set(count)


reporter.on_take(measure_pools)
