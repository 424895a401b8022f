"""PostgreSQL: a row that somebody else has locked is waited for, until the deadline and no longer."""

import asyncio
import threading
import time

import pytest
from django.db import OperationalError, connection, connections, transaction

from audit_app.database import in_database
from audit_app.errors import DeadlineExceeded
from audit_app.writer import Writer
from resources_app.models import Resource
from tests.resources.commands import offsets, within, write
from tests.resources.states import URI
from tests.stack.outbox import entries
from tests.stack.waiting import eventually

pytestmark = pytest.mark.django_db(transaction=True)


def nap(seconds: float = 0.0) -> str:
    """How long this connection lets a statement take, after a statement that takes so long."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_sleep(%s)", [seconds])
        cursor.execute("SHOW statement_timeout")
        (limit,) = cursor.fetchone()
    return str(limit)


async def test_a_read_is_given_up_at_the_deadline_and_the_next_has_its_own_time(writer: Writer) -> None:
    started = time.monotonic()
    # not so short that it is over before the read begins
    with within(1.5), pytest.raises(OperationalError):
        await in_database(nap, 60)
    assert time.monotonic() - started < 30
    with within(4.5):
        assert await in_database(nap) != "0"
    with within(30):
        assert await in_database(nap) == "0"
    assert await asyncio.gather(*(in_database(nap, 0.05) for _ in range(16))) == ["0"] * 16
    with within(-1), pytest.raises(DeadlineExceeded):
        await in_database(nap)


class Held:
    """A row that somebody else keeps locked, for as long as the block lasts."""

    def __init__(self, uri: str = URI) -> None:
        self._uri = uri
        self._locked, self._released = threading.Event(), threading.Event()
        self._thread = threading.Thread(target=self._hold)

    def __enter__(self) -> None:
        self._thread.start()
        assert self._locked.wait(10)

    def __exit__(self, *_: object) -> None:
        self._released.set()
        self._thread.join(10)

    def _hold(self) -> None:
        with transaction.atomic():
            Resource.objects.select_for_update().get(uri=self._uri)
            self._locked.set()
            self._released.wait(30)
        connections[connection.alias].close()


async def test_a_locked_row_is_waited_for_until_the_deadline_and_no_longer(writer: Writer) -> None:
    await writer.submit(write(1))
    with Held():
        started = time.monotonic()
        with within(0.3):
            late = writer.submit(write(2))
        with pytest.raises(DeadlineExceeded) as refused:
            await late
        assert 0.2 < time.monotonic() - started < 20
    assert refused.value.data == {"outcome": "not_done"}

    async def told() -> bool:
        return [one["code"] for one in await in_database(entries)] == [None, "deadline_exceeded"]

    await eventually(told, 30, "the entry of what was given up")
    assert await in_database(offsets) == [1]


async def test_who_waits_longer_is_served_when_the_lock_goes(writer: Writer) -> None:
    await writer.submit(write(1))
    with Held():
        with within(0.2):
            short = writer.submit(write(2))
        with within(20):
            long = writer.submit(write(3))
        assert not (await asyncio.wait([long], timeout=0.5))[0]
    (event,) = await long
    # the batch was tried for the sake of the other one, so the short one was done with it, or refused before
    outcome = (await asyncio.gather(short, return_exceptions=True))[0]
    assert event.version == (2 if isinstance(outcome, DeadlineExceeded) else 3)
    assert await in_database(offsets) == list(range(1, event.version + 1))
