"""Health answers by checks, each with its time, and one that hangs does not hang the answer."""

import asyncio
from collections.abc import Iterator

import pytest

from telemetry_app import health
from telemetry_app.health import Unhealthy, live, ready, register_check


@pytest.fixture(autouse=True)
def no_other_checks(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(health, "_checks", {})
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


async def test_a_check_that_hangs_fails_in_time(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(health, "CHECK_SECONDS", 0.05)

    async def hangs() -> str:
        await asyncio.Event().wait()
        return "never"

    register_check("hangs", hangs)
    state = await asyncio.wait_for(ready(), 30)
    assert state["status"] == "failed"
    assert "no answer" in state["checks"]["hangs"]["detail"]


async def test_what_a_broken_check_raised_is_not_shown():
    async def broken() -> str:
        raise RuntimeError("password=hunter2")

    register_check("broken", broken)
    state = await ready()
    assert state["status"] == "failed"
    assert "hunter2" not in str(state)
