"""Waiting for something to become true, with a bound, instead of sleeping and hoping."""

import asyncio
import inspect
import time
from collections.abc import Awaitable, Callable
from typing import TypeVar

T = TypeVar("T")

POLL_SECONDS = 0.02

PATIENCE = 30.0
"""Seconds to wait for what comes in a moment: a machine that stands still for a while has done nothing wrong."""

TRIES = 3


class Late(AssertionError):
    """What was waited for did not come in time."""


def wait_until(check: Callable[[], T], within: float, what: str) -> T:
    """Poll until `check` answers something true; returns that. Raises Late after `within` seconds."""
    until = time.monotonic() + within
    while True:
        if answer := check():
            return answer
        if time.monotonic() >= until:
            raise Late(f"not within {within} s: {what}")
        time.sleep(POLL_SECONDS)


async def eventually(check: Callable[[], object], within: float, what: object) -> None:
    """The same in an event loop; `check` may be a coroutine function. `what` is told as it is when time is up."""
    until = time.monotonic() + within
    while True:
        answer = check()
        if inspect.isawaitable(answer):
            answer = await answer
        if answer:
            return
        if time.monotonic() >= until:
            raise Late(f"not within {within} s: {what}")
        await asyncio.sleep(POLL_SECONDS)


async def in_time(scenario: Callable[[], Awaitable[float]], promised: float, what: str) -> None:
    """Run a scenario, which returns how many seconds something took, up to three times until that is as promised.

    A stall of the machine makes one try slow; a promise that is not kept makes all of them slow. Whatever else a
    scenario finds wrong fails at once. Raises Late.
    """
    took: list[float] = []
    while len(took) < TRIES:
        took.append(await scenario())
        if took[-1] <= promised:
            return
    raise Late(f"{what}: not within {promised} s, but {', '.join(f'{seconds:.2f}' for seconds in took)} s")
