"""The scenarios of tests/scenarios at length, through the gateway: how often, what is measured, and what is promised.

A figure of time is what the best of its rounds has: a stall of the machine makes one round slow, and a promise that is
not kept makes all of them slow. Whatever else a scenario finds is a broken promise at once.
"""

import time
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from statistics import quantiles

from tests.chaos.verdict import Breach
from tests.scenarios.cuts import ENDINGS, end_a_session, expire, uncover
from tests.scenarios.matrix import field_of, walk_lists, walk_methods, walk_patterns, walk_streams
from tests.scenarios.slow_query import hold_a_query, neighbours
from tests.scenarios.stopped import CLOSED_SECONDS, GROWN_MOST, MEBIBYTE, stop_reading, time_others
from tests.scenarios.stopped import TRANSPORTS as READING
from tests.scenarios.storm import BACK_SECONDS, come_back
from tests.scenarios.turn import keep_the_turn
from tests.stack.answers import Refused
from tests.stack.cluster import Cluster, running
from tests.stack.door import TRANSPORTS, Door
from tests.stack.gateway import WIDE, gateway
from tests.stack.postgres_server import PostgresServer
from tests.stack.redis_server import RedisServer
from tests.stack.waiting import PATIENCE

Figures = Mapping[str, float]
Scenario = Callable[[Cluster, Door], Awaitable[Figures]]

CROWD = 2000
READERS = 100
BESIDE_ONE = 10
HELD_SECONDS = 1.5
ALONE = 400

CUT = "s until cut"
P99_BESIDE = "p99 ms of others"
CLOSED = "s until closed"
GROWN = "MiB more of a node"
RATIO = "p99 of others, times that before"
BACK = "s until all have everything"

PROMISED: Mapping[str, float] = {
    CUT: 1.0,
    P99_BESIDE: 50.0,
    CLOSED: CLOSED_SECONDS,
    GROWN: GROWN_MOST / MEBIBYTE,
    RATIO: 1.2,
    BACK: BACK_SECONDS,
}
"""The most that a figure may be."""


@dataclass(kw_only=True)
class Tried:
    """What the rounds of a scenario came to: the figures of each, and the promises that were broken."""

    name: str
    rounds: list[Figures] = field(default_factory=list)
    breaches: list[Breach] = field(default_factory=list)

    def judge(self) -> None:
        """Hold the best of the rounds against what is promised."""
        for figure in self.rounds[0] if self.rounds else ():
            best = min(figures[figure] for figures in self.rounds)
            if figure in PROMISED and best > PROMISED[figure]:
                self.breaches.append(Breach(self.name, f"{figure}: {best:.2f}, promised {PROMISED[figure]:g}"))


async def sleep_on_a_turn(cluster: Cluster, door: Door) -> Figures:
    await keep_the_turn(cluster, door)
    return {}


async def query(cluster: Cluster, door: Door) -> Figures:
    """The p99 of others alone, and beside a query that takes long."""
    async with neighbours(cluster, door) as made:
        await made.answers(ALONE)
        made.took.clear()
        await made.answers(ALONE)
        alone = quantiles(made.took, n=100)[-1]
        until = time.monotonic() + HELD_SECONDS
        await hold_a_query(cluster, door, made, lambda: time.monotonic() >= until, PATIENCE)
        return {P99_BESIDE: quantiles(made.took, n=100)[-1] * 1000, "p99 ms without": alone * 1000}


def reader(transport: str) -> Scenario:
    """One of few stops while much is written."""

    async def stop(cluster: Cluster, door: Door) -> Figures:
        came_to = await stop_reading(cluster, door, transport, BESIDE_ONE)
        return {CLOSED: came_to.closed_seconds, GROWN: came_to.grown_bytes / MEBIBYTE}

    return stop


def reader_of_many(transport: str) -> Scenario:
    """One of a hundred stops, and the others are timed."""

    async def stop(cluster: Cluster, door: Door) -> Figures:
        noticed = await time_others(cluster, door, transport, READERS - 1)
        return {
            CLOSED: noticed.came_to.closed_seconds,
            GROWN: noticed.came_to.grown_bytes / MEBIBYTE,
            RATIO: noticed.beside_seconds / noticed.before_seconds,
            "p99 ms before": noticed.before_seconds * 1000,
        }

    return stop


async def storm(cluster: Cluster, door: Door) -> Figures:
    came_to = await come_back(cluster, door, CROWD)
    return {BACK: came_to.back_seconds, "reads of the log": came_to.loads}


def cut(end: Callable[..., Awaitable[float]], *how: str) -> Scenario:
    """What the seconds until somebody is cut are called."""

    async def timed(cluster: Cluster, door: Door) -> Figures:
        return {CUT: await end(cluster, door, *how)}

    return timed


async def matrix(cluster: Cluster, door: Door) -> Figures:
    """Everybody tries everything everywhere."""
    looked_at = 0
    async with field_of(cluster) as field:
        looked_at += await walk_streams(cluster, door, field)
        for transport in TRANSPORTS:
            looked_at += await walk_methods(cluster, door, transport, field)
            looked_at += await walk_patterns(cluster, door, transport, field)
            looked_at += await walk_lists(cluster, door, transport, field)
    return {"answers looked at": looked_at}


TRIALS: Mapping[str, tuple[Scenario, int]] = {
    "a transaction sleeps on its turn": (sleep_on_a_turn, 10),
    f"a query takes {HELD_SECONDS:g} s": (query, 5),
    **{f"one of {BESIDE_ONE + 1} readers stops, {name}": (reader(name), 1) for name in READING},
    **{f"one of {READERS} readers stops, {name}": (reader_of_many(name), 2) for name in READING},
    f"{CROWD:,} clients come back": (storm, 1),
    **{f"a session is {ending}": (cut(end_a_session, ending), 3) for ending in ENDINGS},
    "a token expires": (cut(expire), 3),
    "a rule is revoked": (cut(uncover, "revoked"), 3),
    "a part of a rule is denied": (cut(uncover, "denied"), 3),
    "everybody tries everything": (matrix, 1),
}
"""All of them by name, and how many rounds the long form does."""


@contextmanager
def front() -> Iterator[tuple[Cluster, Door]]:
    """Two nodes behind a gateway, and nothing else in between."""
    postgres, redis = PostgresServer(), RedisServer()
    try:
        with (
            running(
                "postgres+redis", postgres=postgres, redis=redis, nodes=2, environment={"TRUSTED_PROXIES": "127.0.0.1"}
            ) as cluster,
            gateway("haproxy", cluster.nodes, **WIDE) as edge,
        ):
            yield cluster, edge
    finally:
        redis.stop()
        postgres.stop()


async def attempt(name: str, scenario: Scenario, rounds: int, cluster: Cluster, door: Door) -> Tried:
    """Do a scenario so often, whatever becomes of each round."""
    tried = Tried(name=name)
    for _ in range(rounds):
        try:
            tried.rounds.append(await scenario(cluster, door))
        except (AssertionError, Refused, ConnectionError) as broken:
            tried.breaches.append(Breach(name, f"{type(broken).__name__}: {broken}"))
    tried.judge()
    return tried


def row_of(one: Tried) -> list[str]:
    """The cells of its row in a report: figures are the best and the worst of all rounds."""
    told = []
    for figure in one.rounds[0] if one.rounds else ():
        values = sorted(figures[figure] for figures in one.rounds)
        spread = f"{values[0]:.4g}" if len(values) == 1 else f"{values[0]:.3g}–{values[-1]:.3g}"
        told.append(f"{figure}: {spread}" + (f" (≤ {PROMISED[figure]:g})" if figure in PROMISED else ""))
    return [one.name, str(len(one.rounds)), "; ".join(told) or "as promised", str(len(one.breaches))]
