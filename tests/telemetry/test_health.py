"""Health answers by checks, each with its time, and one that hangs does not hang the answer."""

import asyncio
from collections.abc import Iterator

import pytest

from telemetry_app import health
from telemetry_app.health import Degraded, Unhealthy, live, ready, register_check
from tests.stack.waiting import eventually


@pytest.fixture(autouse=True)
def no_other_checks(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(health, "_checks", {})
    monkeypatch.setattr(health, "CHECK_SECONDS", 0.05)
    yield


async def well() -> str:
    return "fine"


def test_a_process_that_answers_is_alive():
    assert live() == {"status": "ok"}


async def test_it_is_ready_when_every_check_is_well():
    register_check("one", well)
    register_check("two", well)
    state = await ready()
    assert state["status"] == "ok"
    assert set(state["checks"]) == {"one", "two"}
    assert state["checks"]["one"]["detail"] == "fine"
    assert state["checks"]["one"]["milliseconds"] >= 0


async def test_one_unhealthy_check_makes_it_unready_and_says_why():
    async def draining() -> str:
        raise Unhealthy("about to end")

    register_check("well", well)
    register_check("serving", draining)
    state = await ready()
    assert state["status"] == "failed"
    assert state["checks"]["serving"] | {"milliseconds": 0} == {
        "status": "failed",
        "detail": "about to end",
        "milliseconds": 0,
    }
    assert state["checks"]["well"]["status"] == "ok"


async def test_a_check_that_hangs_fails_in_time():
    async def hangs() -> str:
        await asyncio.Event().wait()
        return "never"

    register_check("hangs", hangs)
    state = await asyncio.wait_for(ready(), 2)
    assert state["status"] == "failed"
    assert "no answer" in state["checks"]["hangs"]["detail"]


async def test_what_a_broken_check_raised_is_not_shown():
    async def broken() -> str:
        raise RuntimeError("password=hunter2")

    register_check("broken", broken)
    state = await ready()
    assert state["status"] == "failed"
    assert "hunter2" not in str(state)


async def test_what_is_degraded_does_not_make_it_unready():
    async def limping() -> str:
        raise Degraded("half the pace")

    register_check("limping", limping)
    state = await ready()
    assert (state["status"], state["checks"]["limping"]["status"]) == ("ok", "degraded")
    assert state["checks"]["limping"]["detail"] == "half the pace"


async def test_a_check_that_hangs_is_begun_once_however_many_ask_and_fails_them_all():
    begun, goes_on = 0, asyncio.Event()

    async def hangs() -> str:
        nonlocal begun
        begun += 1
        await goes_on.wait()
        return "at last"

    register_check("hangs", hangs)
    for _ in range(3):
        states = await asyncio.gather(*(ready() for _ in range(20)))
        assert {state["checks"]["hangs"]["status"] for state in states} == {"failed"}
    assert begun == 1
    goes_on.set()

    async def is_well() -> bool:
        return (await ready())["status"] == "ok"

    await eventually(is_well, 5, "the check has come to an end")


async def test_a_dear_check_is_asked_once_for_all_who_ask_within_a_moment(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(health, "SHARED_SECONDS", 60.0)
    asked = {"dear": 0, "cheap": 0}

    async def dear() -> str:
        asked["dear"] += 1
        return "fine"

    async def cheap() -> str:
        asked["cheap"] += 1
        return "fine"

    register_check("dear", dear, is_dear=True)
    register_check("cheap", cheap)
    for _ in range(5):
        await asyncio.gather(*(ready() for _ in range(20)))
    assert asked == {"dear": 1, "cheap": 5}
