"""A fresh read begins after it was asked for; those who ask meanwhile share the next."""

import asyncio
import threading

import pytest

from resources_app.fresh import FreshReads
from tests.stack.waiting import eventually

pytestmark = pytest.mark.django_db(transaction=True)


class Database:
    """Answers with the present value of a key; reads can be held after they have looked, and are counted."""

    def __init__(self) -> None:
        self.value = 0
        self.looks = 0
        self.error: Exception | None = None
        self.open = threading.Event()
        self.open.set()

    def read(self, key: str) -> tuple[str, int]:
        value, error = self.value, self.error
        self.looks += 1
        self.open.wait(10)
        if error is not None:
            raise error
        return key, value


@pytest.fixture
def database() -> Database:
    return Database()


async def test_whoever_asks_during_a_read_gets_one_that_began_later(database: Database) -> None:
    reads = FreshReads(database.read)
    database.open.clear()
    first = asyncio.create_task(reads.of("a"))
    await eventually(lambda: database.looks == 1, 30, "the first read looks")
    database.value = 1
    later = [asyncio.create_task(reads.of("a")) for _ in range(50)]
    other = asyncio.create_task(reads.of("b"))
    await eventually(lambda: database.looks == 2, 30, "another key waits for nobody")
    database.open.set()
    assert await first == ("a", 0)
    assert set(await asyncio.gather(*later)) == {("a", 1)}
    assert await other == ("b", 1)
    assert database.looks == 3


async def test_those_who_ask_together_share_one_read(database: Database) -> None:
    reads = FreshReads(database.read)
    for round_number in range(1, 4):
        assert set(await asyncio.gather(*(reads.of("a") for _ in range(50)))) == {("a", 0)}
        assert database.looks == round_number


async def test_a_read_that_fails_fails_for_those_who_share_it_alone(database: Database) -> None:
    reads = FreshReads(database.read)
    database.error = OSError("away")
    found = await asyncio.gather(*(reads.of("a") for _ in range(3)), return_exceptions=True)
    assert [type(one) for one in found] == [OSError] * 3
    database.error = None
    assert await reads.of("a") == ("a", 0)


async def test_whoever_goes_away_takes_no_other_with_it(database: Database) -> None:
    reads = FreshReads(database.read)
    database.open.clear()
    first, second = (asyncio.create_task(reads.of("a")) for _ in range(2))
    await eventually(lambda: database.looks == 1, 30, "the read looks")
    first.cancel()
    database.open.set()
    assert await second == ("a", 0)
