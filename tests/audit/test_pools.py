"""How busy threads and connections are."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from threading import Event

import pytest
from django.db import connection
from prometheus_client import REGISTRY

from audit_app.database import Readers, in_database
from audit_app.models import OutboxEntry
from audit_app.pools import measure_pools
from audit_app.recovery import READS
from tests.stack.waiting import PATIENCE, eventually


def gauge(name: str, **labels: str) -> float | None:
    return REGISTRY.get_sample_value(name, labels)


@pytest.fixture
def readers() -> Iterator[Readers]:
    readers = Readers(OutboxEntry, READS, threads=1)
    yield readers
    readers._executor.shutdown()


@pytest.mark.django_db(transaction=True)
async def test_calls_that_wait_for_a_thread_are_counted(readers: Readers):
    begun, end = Event(), Event()

    def hold() -> None:
        begun.set()
        end.wait(PATIENCE)

    with ThreadPoolExecutor(1) as elsewhere:
        held = elsewhere.submit(readers._executor.submit, hold).result()
        await eventually(begun.is_set, PATIENCE, "the thread is taken")
        waiting = [readers._executor.submit(hold) for _ in range(3)]
        measure_pools([readers])
        assert gauge("erlmcp_pool_threads", pool="database_reads") == 1
        assert gauge("erlmcp_pool_waiting", pool="database_reads") == 3
        end.set()
        for done in (held, *waiting):
            done.result(PATIENCE)
    measure_pools([readers])
    assert gauge("erlmcp_pool_waiting", pool="database_reads") == 0


@pytest.mark.django_db(transaction=True)
async def test_connections_of_a_pool_are_counted_where_there_is_one():
    await in_database(OutboxEntry.objects.count)
    measure_pools()
    states = [
        gauge("erlmcp_database_connections", database="default", state=state) for state in ("busy", "idle", "waiting")
    ]
    if connection.vendor == "postgresql":
        assert None not in states and sum(filter(None, states)) >= 1
    else:
        assert states == [None, None, None]
