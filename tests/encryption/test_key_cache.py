"""Data keys are held for so long after they were unwrapped, and so many of them."""

from encryption_app.envelope import KEY_BYTES, DataKey
from encryption_app.key_cache import KeyCache
from tests.stack.waiting import eventually


def key(number: int) -> DataKey:
    return DataKey(f"{number:032x}", bytes(KEY_BYTES))


async def test_a_key_is_held_for_its_time_however_often_it_is_used() -> None:
    cache = KeyCache(lambda: 1.0)
    cache.put(key(1), "a")
    assert cache.of("a") is cache.get(key(1).id) is not None
    # every look is a use
    await eventually(lambda: cache.get(key(1).id) is None, 30, "the key has been held for its time")
    assert cache.of("a") is None


def test_the_keys_that_were_used_last_are_held() -> None:
    cache = KeyCache(lambda: 60.0, size=3)
    for number in range(3):
        cache.put(key(number), str(number))
    assert cache.of("0") is not None
    cache.put(key(3), "3")
    assert [cache.of(str(number)) is not None for number in range(4)] == [True, False, True, True]


def test_a_destroyed_key_is_not_held_and_known_as_such() -> None:
    cache = KeyCache(lambda: 60.0)
    cache.put(key(1), "a")
    cache.put(key(2), "a")
    cache.destroy(key(1).id)
    assert (cache.get(key(1).id), cache.is_destroyed(key(1).id)) == (None, True)
    assert cache.of("a") is not None
    # it was being fetched when it was destroyed
    cache.put(key(1), "a")
    assert (cache.get(key(1).id), cache.of("a")) == (None, cache.get(key(2).id))
    cache.clear()
    assert (cache.of("a"), cache.is_destroyed(key(1).id)) == (None, False)
