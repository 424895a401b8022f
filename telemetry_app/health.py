"""Whether this process is alive, and whether it can do its work, by checks that the apps above register."""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from contextvars import Context
from typing import Any, Literal, TypedDict

from telemetry_app.metrics import HEALTH_CHECK

log = logging.getLogger(__name__)

CHECK_SECONDS = 1.0
"""What a check may take; one that takes longer has failed, until it has come to an end."""

SHARED_SECONDS = 0.25
"""For how long all who ask are told what a dear check has come to."""

Check = Callable[[], Awaitable[str]]
"""Answers a few words on how it is; raises Degraded, Unhealthy, or anything else when it is not well."""

Status = Literal["ok", "degraded", "failed"]

LEVELS: dict[Status, int] = {"ok": 0, "degraded": 1, "failed": 2}
"""How bad that is, as a metric."""


class Degraded(Exception):
    """What a check says when something is wrong that does not keep this process from its work."""


class Unhealthy(Exception):
    """What a check says when this process should get no requests; the message names no secret."""


class Finding(TypedDict):
    """What one check came to; `milliseconds` is how long it took."""

    status: Status
    detail: str
    milliseconds: float


class State(TypedDict):
    """What `ready` answers."""

    status: Literal["ok", "failed"]
    checks: dict[str, Finding]


class Asked:
    """A check as it is asked: one at a time, however many want to know, and for `fresh_for` seconds not again."""

    def __init__(self, name: str, check: Check, fresh_for: float) -> None:
        self._name = name
        self._check = check
        self._fresh_for = fresh_for
        self._run: asyncio.Task[Finding] | None = None
        self._began = 0.0

    async def find(self) -> Finding:
        """What the check comes to, after at most CHECK_SECONDS. It is not given up then, but waited for by others."""
        loop, now = asyncio.get_running_loop(), time.monotonic()
        run = self._run
        if run is None or run.get_loop() is not loop or (run.done() and now >= self._began + self._fresh_for):
            # in a context of its own: it is not held to the deadline of whoever asks first
            run = self._run = loop.create_task(_run(self._name, self._check), context=Context())
            self._began = now
        await asyncio.wait((run,), timeout=max(0.0, self._began + CHECK_SECONDS - now))
        if run.done():
            return run.result()
        passed = time.monotonic() - self._began
        return {
            "status": "failed",
            "detail": f"no answer for {passed:.1f} s",
            "milliseconds": _milliseconds(passed),
        }


_checks: dict[str, Asked] = {}


def register_check(name: str, check: Check, *, is_dear: bool = False) -> None:
    """Ask this check, too, whether the process is ready. A later one of the same name takes its place.

    What a dear one came to is told for SHARED_SECONDS.
    """
    _checks[name] = Asked(name, check, SHARED_SECONDS if is_dear else 0.0)


def live() -> dict[str, Any]:
    """That this process runs at all: whoever gets an answer has it."""
    return {"status": "ok"}


async def ready() -> State:
    """All checks, run at once, each with at most CHECK_SECONDS; "failed" when any is."""
    names = list(_checks)
    findings = await asyncio.gather(*(_checks[name].find() for name in names))
    for name, finding in zip(names, findings, strict=True):
        HEALTH_CHECK.labels(name).set(LEVELS[finding["status"]])
    failed = any(finding["status"] == "failed" for finding in findings)
    return {"status": "failed" if failed else "ok", "checks": dict(zip(names, findings, strict=True))}


async def _run(name: str, check: Check) -> Finding:
    started = time.perf_counter()
    status: Status = "failed"
    try:
        detail = await check()
        status = "ok"
    except Degraded as error:
        status, detail = "degraded", str(error)
    except Unhealthy as error:
        detail = str(error)
    except Exception:
        log.warning("health check %s failed", name, exc_info=True)
        detail = "failed; the log says why"
    return {"status": status, "detail": detail, "milliseconds": _milliseconds(time.perf_counter() - started)}


def _milliseconds(seconds: float) -> float:
    return round(seconds * 1000, 2)
