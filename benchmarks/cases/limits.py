"""Deciding whether somebody may ask, in one process, without a server: by its own bucket, and by a shared one."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

from benchmarks.figures import Figure
from benchmarks.redis import redis
from benchmarks.run import Run
from erlmcp_site.environment import Rate
from sessions_app.limits import Limits
from sessions_app.line import Line

LARGE, SMALL = Rate(1_000_000_000, 1), Rate(200, 1)
DECISIONS, EXCHANGES, AT_ONCE, ROUNDS = 50_000, 2_000, 64, 5
WHOM = 5_000


def limits(run: Run) -> None:
    """A decision with tokens at hand, one for which Redis is asked, and 64 that ask it together."""
    asyncio.run(_limits(run))


async def _limits(run: Run) -> None:
    async with _started("") as own:
        await _figure(run, "its own bucket", DECISIONS, lambda: own.take("caller", LARGE, "one"))
    with redis(run.fresh_folder("redis")) as url:
        async with _started(url) as shared:
            await _shared(run, shared)


async def _shared(run: Run, shared: Limits) -> None:
    numbers = iter(range(10**9))

    async def ask() -> None:
        await shared.take("caller", SMALL, str(next(numbers) % WHOM))

    async def ask_together() -> None:
        await asyncio.gather(*(ask() for _ in range(AT_ONCE)))

    await _figure(run, "a share of a large bucket", DECISIONS, lambda: shared.take("caller", LARGE, "one"))
    await _figure(run, "a small bucket in Redis", EXCHANGES, ask)
    await _figure(run, f"{AT_ONCE} small buckets in Redis", EXCHANGES // AT_ONCE, ask_together, each=AT_ONCE)


@asynccontextmanager
async def _started(url: str) -> AsyncIterator[Limits]:
    started, line = Limits(), Line(url) if url else None
    started.start(line)
    yield started
    await started.stop()
    if line is not None:
        await line.close()


async def _figure(run: Run, what: str, times: int, decide: Callable[[], Awaitable[object]], each: int = 1) -> None:
    cpu, wall = [], []
    for _ in range(ROUNDS):
        started, used = time.perf_counter(), time.process_time()
        for _ in range(times // run.scale):
            await decide()
        count = times // run.scale * each
        cpu.append(1e6 * (time.process_time() - used) / count)
        wall.append(1e6 * (time.perf_counter() - started) / count)
    also = {"CPU µs": min(cpu), "µs": min(wall)}
    run.add(Figure(case="a limit decided", server=f"erlmcp, in process, {what}", also=also))
