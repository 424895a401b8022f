"""The cache keeps the newest state of each resource, reads each once, and stays within its bytes."""

import asyncio
import threading

import pytest

from resources_app.cache import Cached, ReadCache
from resources_app.state import ResourceState
from tests.resources.states import URI, state_at

pytestmark = pytest.mark.django_db(transaction=True)


class Database:
    """A database whose reads can be held; counts them."""

    def __init__(self, state: ResourceState | None) -> None:
        self.state = state
        self.reads = 0
        self.held = threading.Event()
        self.held.set()

    def __call__(self, uri: str) -> ResourceState | None:
        state = self.state
        self.reads += 1
        self.held.wait(10)
        if isinstance(state, Exception):
            raise state
        return state


@pytest.mark.parametrize(("first", "second"), [(3, 7), (7, 3), (7, 7)])
def test_of_two_states_the_later_one_stays(first: int, second: int) -> None:
    cache = ReadCache()
    cache.apply(state_at(first))
    cache.apply(state_at(second))
    cached = cache.get(URI)
    assert cached is not None
    assert cached.state.offset == 7


async def test_readers_that_come_together_share_one_read() -> None:
    cache, database = ReadCache(), Database(state_at(1))
    found = await asyncio.gather(*(cache.load(URI, database) for _ in range(50)))
    assert database.reads == 1
    assert len({id(one) for one in found}) == 1
    assert cache.get(URI) is found[0]


async def test_a_change_that_comes_during_the_read_wins() -> None:
    cache, database = ReadCache(max_bytes=0), Database(state_at(1))
    database.held.clear()
    loading = asyncio.create_task(cache.load(URI, database))
    await asyncio.sleep(0)
    cache.apply(state_at(2))
    database.held.set()
    cached = await loading
    assert cached is not None
    assert cached.state.offset == 2


async def test_a_creation_that_comes_during_the_read_wins_over_nothing() -> None:
    cache, database = ReadCache(), Database(None)
    database.held.clear()
    loading = asyncio.create_task(cache.load(URI, database))
    await asyncio.sleep(0)
    cache.apply(state_at(1))
    database.held.set()
    cached = await loading
    assert cached is not None
    assert cached.state.offset == 1


async def test_a_reader_that_goes_away_takes_no_other_with_it() -> None:
    cache, database = ReadCache(), Database(state_at(1))
    database.held.clear()
    first, second = (asyncio.create_task(cache.load(URI, database)) for _ in range(2))
    await asyncio.sleep(0)
    first.cancel()
    database.held.set()
    cached = await second
    assert cached is not None
    assert cached.state.offset == 1
    assert first.cancelled() or first.cancelling()


async def test_a_read_that_fails_fails_for_those_who_wait_and_is_made_again_for_others() -> None:
    cache, database = ReadCache(), Database(state_at(1))
    database.state = OSError("away")  # type: ignore[assignment]
    found = await asyncio.gather(*(cache.load(URI, database) for _ in range(3)), return_exceptions=True)
    assert [type(one) for one in found] == [OSError] * 3
    database.state = state_at(1)
    assert await cache.load(URI, database) is not None


async def test_what_is_read_while_the_cache_is_cleared_is_not_kept() -> None:
    cache, database = ReadCache(), Database(state_at(1))
    database.held.clear()
    loading = asyncio.create_task(cache.load(URI, database))
    await asyncio.sleep(0)
    cache.clear()
    database.held.set()
    assert await loading is not None
    assert cache.get(URI) is None


def test_the_least_used_make_room_when_the_bytes_are_used_up() -> None:
    cache = ReadCache(max_bytes=3 * Cached(state_at(1)).size)
    for number in range(3):
        cache.apply(state_at(1, uri=f"{URI}/{number}"))
    assert cache.get(f"{URI}/0") is not None
    cache.apply(state_at(1, uri=f"{URI}/3"))
    assert [cache.get(f"{URI}/{number}") is not None for number in range(4)] == [True, False, True, True]
    cache.apply(state_at(2, "x" * 100_000))
    assert cache.get(URI) is None
