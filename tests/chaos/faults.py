"""What is done to a system: each fault has a beginning and an end, and clients go on all the while."""

import asyncio
import random
import signal
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Literal

import httpx

from tests.chaos.channels import now
from tests.chaos.links import COMMIT, PUBLISH, Link, Trap
from tests.chaos.system import Place, System
from tests.stack.node import Node
from tests.stack.waiting import eventually, wait_until

Fault = Callable[[System, random.Random], AbstractAsyncContextManager[Mapping[str, float]]]
"""A context: the fault begins as it is entered, and is healed as it is left. Gives figures of its own, in seconds."""

PART_SECONDS = 150.0
STEP_SECONDS = 5
CLOCK = "a clock 5 s ahead, then 5 s behind"
FAKETIME = next(Path("/usr/lib").glob("*/faketime/libfaketimeMT.so.1"), None)
"""What the clock of a process is stepped with, where it is installed."""


@asynccontextmanager
async def redis_killed(system: System, dice: random.Random) -> AsyncIterator[Mapping[str, float]]:
    system.redis.kill()
    try:
        yield {}
    finally:
        await system.apart(system.redis.start_again)


@asynccontextmanager
async def redis_hangs(system: System, dice: random.Random) -> AsyncIterator[Mapping[str, float]]:
    system.redis.process.send(signal.SIGSTOP)
    try:
        yield {}
    finally:
        system.redis.process.send(signal.SIGCONT)


@asynccontextmanager
async def postgres_killed(system: System, dice: random.Random) -> AsyncIterator[Mapping[str, float]]:
    await system.apart(system.postgres.kill)
    try:
        yield {}
    finally:
        await system.apart(system.postgres.start_again)


@asynccontextmanager
async def postgres_restarted(system: System, dice: random.Random) -> AsyncIterator[Mapping[str, float]]:
    await system.apart(system.postgres.end, signal.SIGINT)
    try:
        yield {}
    finally:
        await system.apart(system.postgres.start_again)


@asynccontextmanager
async def gateway_killed(system: System, dice: random.Random) -> AsyncIterator[Mapping[str, float]]:
    await system.apart(system.gateway.kill)
    try:
        yield {}
    finally:
        await system.apart(system.gateway.start)


def part_killed(part: Literal["web", "worker", "beat"]) -> Fault:
    """kill -9 to a process of one node, which starts another by itself."""

    @asynccontextmanager
    async def killed(system: System, dice: random.Random) -> AsyncIterator[Mapping[str, float]]:
        place = dice.choice(system.places)
        place.node.kill_part(part)
        try:
            yield {}
        finally:
            await _is_back(place)

    return killed


@asynccontextmanager
async def supervisor_killed(system: System, dice: random.Random) -> AsyncIterator[Mapping[str, float]]:
    """And with it all of its node, as nothing outlives it; somebody starts the node again."""
    place = dice.choice(system.places)
    assert place.node.process is not None
    place.node.process.send(signal.SIGKILL)
    try:
        yield {}
    finally:
        await system.apart(place.node.kill)
        await system.apart(place.node.start)


def partition(links: Callable[[Place], list[Link]], how: Literal["silent", "cut"]) -> Fault:
    """The ways between one node and something else swallow everything, or break."""

    @asynccontextmanager
    async def parted(system: System, dice: random.Random) -> AsyncIterator[Mapping[str, float]]:
        ways = links(dice.choice(system.places))
        for link in ways:
            (link.silence if how == "silent" else link.cut)()
        try:
            yield {}
        finally:
            for link in ways:
                link.heal()

    return parted


def killed_at(
    part: Literal["web", "worker"],
    link: Callable[[Place], Link],
    message: bytes,
    when: Literal["before", "after"],
) -> Fault:
    """kill -9 to a process of one node when it sends a message, before that arrives or before it is answered."""

    @asynccontextmanager
    async def killed(system: System, dice: random.Random) -> AsyncIterator[Mapping[str, float]]:
        place = dice.choice(system.places)
        link(place).trap = trap = Trap(part=message, when=when, strike=lambda: place.node.kill_part(part))
        await eventually(trap.sprung.is_set, PART_SECONDS, f"the message {message!r} comes by")
        try:
            yield {}
        finally:
            await _is_back(place)

    return killed


@asynccontextmanager
async def rolling_restart(system: System, dice: random.Random) -> AsyncIterator[Mapping[str, float]]:
    """Each node is asked to end, ends by itself, and is started again before the next one."""
    figures = {"ready → 503": 0.0, "SIGTERM → exit": 0.0}
    for place in system.places:
        seconds = await system.apart(_restart, place)
        figures = {name: max(figures[name], value) for name, value in seconds.items()}
        await _is_back(place)
    yield figures


def _restart(place: Place) -> Mapping[str, float]:
    node = place.node
    assert node.process is not None
    began = now()
    node.process.send(signal.SIGTERM)
    with httpx.Client(base_url=node.base, timeout=5, trust_env=False) as client:

        def is_away() -> bool:
            try:
                return client.get("/health/ready").status_code == 503
            except httpx.TransportError:
                return True

        wait_until(is_away, PART_SECONDS, f"{node.base} is not ready")
        away = now() - began
    # by force too, where the machine is too busy for its worker to end in time
    node.process.wait(PART_SECONDS)
    ended = now() - began
    node.start()
    return {"ready → 503": away, "SIGTERM → exit": ended}


@asynccontextmanager
async def clock_stepped(system: System, dice: random.Random) -> AsyncIterator[Mapping[str, float]]:
    """One node gets a clock that can be set: it goes ahead, behind as the fault ends, and is a good one again."""
    place, clock = dice.choice(system.places), system.cluster.folder / "clock"
    clock.write_text("+0")
    good = place.node.environment
    # not for longer than it has to be: under libfaketime 0.9.10 time.sleep fails where monotonic clocks are spared
    bad = {"LD_PRELOAD": str(FAKETIME), "FAKETIME_TIMESTAMP_FILE": str(clock), "FAKETIME_CACHE_DURATION": "1"}
    await system.apart(_start_again, place.node, good | bad | {"FAKETIME_DONT_FAKE_MONOTONIC": "1"})
    try:
        await _step(place, clock, STEP_SECONDS)
        yield {}
        await _step(place, clock, -STEP_SECONDS)
    finally:
        await system.apart(_start_again, place.node, good)


def _start_again(node: Node, environment: Mapping[str, str]) -> None:
    assert node.process is not None
    node.process.stop(within=PART_SECONDS)
    node.environment = dict(environment)
    node.start()


async def _step(place: Place, clock: Path, seconds: int) -> None:
    """Set the clock, and wait until the node's answers show it."""
    await asyncio.to_thread(clock.write_text, f"{seconds:+d}")
    async with httpx.AsyncClient(base_url=place.node.base, timeout=10, trust_env=False) as client:

        async def is_stepped() -> bool:
            told = (await client.get("/health/live")).headers["date"]
            return abs((parsedate_to_datetime(told) - datetime.now(UTC)).total_seconds() - seconds) < 2

        await eventually(is_stepped, PART_SECONDS, f"the clock is stepped by {seconds} s")


@asynccontextmanager
async def nothing(system: System, dice: random.Random) -> AsyncIterator[Mapping[str, float]]:
    """For comparison."""
    yield {}


async def _is_back(place: Place) -> None:
    """Wait until the node is ready."""
    await eventually(lambda: asyncio.to_thread(place.node.is_ready), PART_SECONDS, f"{place.node.base} is ready")


def _database(place: Place) -> list[Link]:
    return [place.database, place.audit]


def _redis(place: Place) -> list[Link]:
    return [place.redis]


def _gateway(place: Place) -> list[Link]:
    return [place.front.http, place.front.grpc]


FAULTS: Mapping[str, Fault] = {
    "nothing": nothing,
    "Redis killed": redis_killed,
    "Redis hangs": redis_hangs,
    "PostgreSQL killed": postgres_killed,
    "PostgreSQL restarted": postgres_restarted,
    "HAProxy killed": gateway_killed,
    "web process killed": part_killed("web"),
    "web process killed before its COMMIT": killed_at("web", lambda place: place.database, COMMIT, "before"),
    "web process killed after its COMMIT": killed_at("web", lambda place: place.database, COMMIT, "after"),
    "web process killed before the ring": killed_at("web", lambda place: place.redis, PUBLISH, "before"),
    "Celery worker killed": part_killed("worker"),
    "Celery worker killed before the COMMIT of a move": killed_at(
        "worker", lambda place: place.audit, COMMIT, "before"
    ),
    "Celery worker killed after the COMMIT of a move": killed_at("worker", lambda place: place.audit, COMMIT, "after"),
    "beat killed": part_killed("beat"),
    "node killed": supervisor_killed,
    "a node without Redis, silent": partition(_redis, "silent"),
    "a node without Redis, cut": partition(_redis, "cut"),
    "a node without PostgreSQL, silent": partition(_database, "silent"),
    "a node without PostgreSQL, cut": partition(_database, "cut"),
    "a node without gateway, silent": partition(_gateway, "silent"),
    "a node without gateway, cut": partition(_gateway, "cut"),
    "rolling restart": rolling_restart,
    CLOCK: clock_stepped,
}
"""All of them by name."""

QUALITY: Mapping[str, int] = {
    "nothing": 1,
    "Redis killed": 10,
    "web process killed before its COMMIT": 4,
    "web process killed after its COMMIT": 4,
    "web process killed before the ring": 4,
    "Celery worker killed before the COMMIT of a move": 4,
    "Celery worker killed after the COMMIT of a move": 4,
}
"""How often the long form does them, where that is not twice."""

PARTITIONS = {name for name in FAULTS if name.startswith("a node without")}
"""Those that nobody is told of."""

LONELY = {"a node without Redis, silent", "a node without Redis, cut"}
"""Those in which a node cannot tell the other one how far its sessions have got (docs/consistency.md)."""
