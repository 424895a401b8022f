"""A part that does not answer is left alone, and tried by one caller at a time."""

import asyncio
import logging
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace

import pytest
from prometheus_client import REGISTRY

from audit_app.breaker import Breaker, PartAway
from audit_app.recovery import Strategy
from tests.stack.waiting import wait_until

REST_SECONDS = 0.2
STRATEGY = Strategy(
    part="oracle",
    name="the oracle",
    fallback="guess",
    meanwhile="answers are guessed",
    retry_seconds=0,
    rest_seconds=REST_SECONDS,
)


@pytest.fixture
def breaker() -> Breaker:
    return Breaker(STRATEGY, counts=lambda error: isinstance(error, OSError))


@pytest.fixture
def resting() -> Breaker:
    """One whose rest is not over before the test is."""
    return Breaker(replace(STRATEGY, rest_seconds=600), counts=lambda error: isinstance(error, OSError))


def fail(breaker: Breaker, error: BaseException | None = None) -> None:
    """One call that fails; it may not even begin."""
    with pytest.raises(PartAway), breaker.guard():
        raise error or OSError("no answer")


def is_let_through(breaker: Breaker) -> bool:
    try:
        with breaker.guard():
            return True
    except PartAway:
        return False


@contextmanager
def trying(breaker: Breaker) -> Iterator[None]:
    """While somebody tries an open breaker, and ends with success unless the block raises."""
    wait_until(lambda: is_admitted(breaker), 30, "a trial")
    with breaker.guard():
        yield


def is_admitted(breaker: Breaker) -> bool:
    """Whether a trial may begin; it is given up at once, which tells nothing."""
    try:
        with breaker.guard():
            raise asyncio.CancelledError
    except asyncio.CancelledError:
        return True
    except PartAway:
        return False


def counted() -> float:
    return REGISTRY.get_sample_value("erlmcp_recoveries_total", {"part": "oracle", "strategy": "guess"}) or 0


def gauge() -> float | None:
    return REGISTRY.get_sample_value("erlmcp_breaker_open", {"part": "oracle"})


def test_a_part_that_answers_is_asked_by_everybody(breaker: Breaker) -> None:
    assert all(is_let_through(breaker) for _ in range(10))
    assert not breaker.is_open
    assert gauge() == 0


def test_a_failure_keeps_everybody_away_and_is_counted(resting: Breaker) -> None:
    before = counted()
    fail(resting)
    assert not any(is_let_through(resting) for _ in range(9))
    assert resting.is_open
    assert gauge() == 1
    assert counted() == before + 10


def test_an_error_that_is_no_failure_of_the_part_is_an_answer(breaker: Breaker) -> None:
    with pytest.raises(ValueError, match="nonsense"), breaker.guard():
        raise ValueError("nonsense")
    assert not breaker.is_open
    fail(breaker)
    with pytest.raises(ValueError, match="nonsense"), trying(breaker):
        raise ValueError("nonsense")
    assert not breaker.is_open


def test_only_one_at_a_time_tries_and_its_success_lets_everybody_in(breaker: Breaker) -> None:
    fail(breaker)
    with trying(breaker):
        assert breaker.is_open
        assert not any(is_let_through(breaker) for _ in range(5))
    assert not breaker.is_open
    assert gauge() == 0
    assert is_let_through(breaker)


def test_a_trial_that_fails_begins_another_rest(breaker: Breaker) -> None:
    fail(breaker)
    with pytest.raises(PartAway), trying(breaker):
        failed_at = time.monotonic()
        raise OSError("still no answer")
    assert breaker.is_open
    with trying(breaker):
        assert time.monotonic() - failed_at >= REST_SECONDS
    assert not breaker.is_open


def test_of_many_threads_one_tries(breaker: Breaker) -> None:
    fail(breaker)
    wait_until(lambda: is_admitted(breaker), 30, "the rest is over")
    callers, lock, tried = threading.Barrier(8), threading.Event(), []

    def call() -> None:
        callers.wait(30)
        try:
            with breaker.guard():
                tried.append(1)
                lock.wait(60)
        except PartAway:
            pass
        finally:
            refused.release()

    refused = threading.Semaphore(0)
    with ThreadPoolExecutor(8) as pool:
        for _ in range(8):
            pool.submit(call)
        assert all(refused.acquire(timeout=30) for _ in range(7))
        assert tried == [1]
        lock.set()
    assert not breaker.is_open


async def test_a_trial_that_is_cancelled_tells_nothing_and_the_next_may_try(breaker: Breaker) -> None:
    fail(breaker)
    wait_until(lambda: is_admitted(breaker), 30, "the rest is over")

    async def hang() -> None:
        with breaker.guard():
            await asyncio.Event().wait()

    hanging = asyncio.create_task(hang())
    await asyncio.sleep(0)
    assert not is_let_through(breaker)
    hanging.cancel()
    await asyncio.gather(hanging, return_exceptions=True)
    assert breaker.is_open
    assert is_let_through(breaker)


def test_what_began_before_the_failure_changes_nothing_when_it_ends(breaker: Breaker) -> None:
    with breaker.guard():
        fail(breaker)
    assert breaker.is_open


def test_it_is_said_once_that_a_part_is_away_and_once_that_it_is_back(
    breaker: Breaker, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    for _ in range(3):
        fail(breaker, TimeoutError())
    with trying(breaker):
        pass
    said = [record.getMessage() for record in caplog.records if record.name == "audit_app.breaker"]
    assert said[0] == "the oracle is not available, answers are guessed meanwhile: TimeoutError"
    assert said[1].startswith("the oracle is available again, after ")
    assert len(said) == 2
    assert not any(record.exc_info for record in caplog.records)


async def test_whoever_has_no_fallback_is_refused(resting: Breaker) -> None:
    fail(resting)
    with pytest.raises(PartAway) as refused, resting.guard():
        pass
    assert (refused.value.code, refused.value.category, refused.value.retry_after) == ("unavailable", "retryable", 1.0)
    assert refused.value.message == "The oracle is not available."
