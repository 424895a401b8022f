"""Whether this process is alive, and whether it can do its work, by checks that the apps above register."""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from typing import Any, Literal, TypedDict

log = logging.getLogger(__name__)

CHECK_SECONDS = 2.0

Check = Callable[[], Awaitable[str]]
"""Answers a few words on how it is, or raises Unhealthy (or anything else) when it is not well."""


class Unhealthy(Exception):
    """What a check says when this process should get no requests; the message names no secret."""


class Finding(TypedDict):
    """What one check came to; `milliseconds` is how long it took."""

    status: Literal["ok", "failed"]
    detail: str
    milliseconds: float


class State(TypedDict):
    """What `ready` answers."""

    status: Literal["ok", "failed"]
    checks: dict[str, Finding]


_checks: dict[str, Check] = {}


def register_check(name: str, check: Check) -> None:
    """Ask this check, too, whether the process is ready. A later one of the same name takes its place."""
    _checks[name] = check


def live() -> dict[str, Any]:
    """That this process runs at all: whoever gets an answer has it."""
    return {"status": "ok"}


async def ready() -> State:
    """All checks, run at once, each with at most 2 s; "failed" when any is."""
    names = list(_checks)
    findings = await asyncio.gather(*(_find(name, _checks[name]) for name in names))
    failed = any(finding["status"] == "failed" for finding in findings)
    return {"status": "failed" if failed else "ok", "checks": dict(zip(names, findings, strict=True))}


async def _find(name: str, check: Check) -> Finding:
    started = time.perf_counter()
    status: Literal["ok", "failed"] = "failed"
    try:
        async with asyncio.timeout(CHECK_SECONDS):
            detail = await check()
        status = "ok"
    except Unhealthy as error:
        detail = str(error)
    except TimeoutError:
        detail = f"no answer within {CHECK_SECONDS:g} s"
    except Exception:
        log.warning("health check %s failed", name, exc_info=True)
        detail = "failed; the log says why"
    return {"status": status, "detail": detail, "milliseconds": round((time.perf_counter() - started) * 1000, 2)}
