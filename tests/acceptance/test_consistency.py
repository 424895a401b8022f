"""What sessions are promised as they hop between nodes, proven on what they did and saw (contract §3, quality 13).

`tests/stack/histories.py` says what is looked for.
"""

import asyncio
import itertools
import random
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import AsyncExitStack

import pytest

from tests.stack.actors import Actor
from tests.stack.cluster import Cluster, running
from tests.stack.histories import Operation, faults_of
from tests.stack.postgres_server import PostgresServer
from tests.stack.redis_server import RedisServer

ACTORS = 6
URIS = 5
ENOUGH = {"read": 500, "write": 200, "refused": 1, "pushed": 200}
"""What a history has to hold at least, of each kind, to say something."""
LATEST_SECONDS = 100
MOVES: tuple[int | None, ...] = (None, 1_000_000, 25)
"""Of three sessions one follows nowhere, one on one node, and one on another after so many calls."""


@pytest.fixture(scope="module")
def silent_redis() -> Iterator[RedisServer]:
    """A Redis that carries no rings, and that may be killed."""
    server = RedisServer(carries_rings=False)
    yield server
    server.stop()


@pytest.fixture(scope="module")
def lagging_pair(postgres: PostgresServer, silent_redis: RedisServer, mortal_redis: RedisServer) -> Iterator[Cluster]:
    """Two nodes of which each sees what the other wrote when it has to, or once a minute."""
    environment = {"LOG_POLL_SECONDS": "60", "CELERY_BROKER_URL": mortal_redis.url}
    with running("postgres+redis", postgres=postgres, redis=silent_redis, nodes=2, environment=environment) as cluster:
        yield cluster


async def act(actor: Actor, tree: str, is_over: Callable[[], bool], moves: int | None) -> None:
    """Call after call; after every `moves` calls, follow somewhere else."""
    uris = [f"{tree}{number}" for number in range(URIS)]
    for calls in itertools.count():
        if is_over():
            return
        if moves is not None and calls % moves == 0:
            await actor.follow(f"{tree}*")
        uri, kind = actor.dice.choice(uris), actor.dice.random()
        if kind < 0.45:
            await actor.read(uri, "causal")
        elif kind < 0.55:
            await actor.read(uri, "eventual")
        elif kind < 0.65:
            await actor.read(uri, "strong")
        elif kind < 0.85:
            await actor.write(uri)
        else:
            await actor.increment(uri)


async def history_of(
    cluster: Cluster, dice: random.Random, seconds: float, writing_nodes: int | None = None
) -> tuple[str, list[Operation]]:
    """What several sessions did and saw for some seconds or more, until it is enough, on resources below a prefix."""
    tree, history = cluster.tree(), list[Operation]()
    began = time.monotonic()

    def is_over() -> bool:
        passed = time.monotonic() - began
        return passed >= LATEST_SECONDS or (passed >= seconds and counts_of(history) >= Counter(ENOUGH))

    async with AsyncExitStack() as stack:
        actors = [await stack.enter_async_context(Actor(cluster, history, dice, writing_nodes)) for _ in range(ACTORS)]
        for number in range(URIS):
            await actors[0].write(f"{tree}{number}")
        working = zip(actors, itertools.cycle(MOVES))
        await asyncio.gather(*(act(actor, tree, is_over, moves) for actor, moves in working))
    return tree, history


def counts_of(history: list[Operation]) -> Counter[str]:
    """How much of each kind happened."""
    return Counter(one.kind for one in history)


def is_sound(cluster: Cluster, tree: str, history: list[Operation]) -> None:
    """Fails with the first faults that a history has, or when too little happened to say."""
    counts = counts_of(history)
    print(counts)  # noqa: T201
    faults = faults_of(history, cluster.truth.log(tree))
    assert not faults, f"{len(faults)} faults in {counts}: " + "\n".join(map(str, faults[:5]))
    assert counts >= Counter(ENOUGH), counts


async def test_sessions_hop_between_nodes(stack: Cluster, dice: random.Random) -> None:
    is_sound(stack, *await history_of(stack, dice, seconds=6))


async def test_sessions_hop_between_nodes_that_lag(lagging_pair: Cluster, dice: random.Random) -> None:
    is_sound(lagging_pair, *await history_of(lagging_pair, dice, seconds=6, writing_nodes=1))


async def test_sessions_hop_while_redis_comes_and_goes(
    lagging_pair: Cluster, silent_redis: RedisServer, dice: random.Random
) -> None:
    """It loses all that it was told, three times; once so fast that a node may not notice."""
    acting = asyncio.create_task(history_of(lagging_pair, dice, seconds=16, writing_nodes=1))
    for seconds_away in (0.0, dice.random(), 2 * dice.random()):
        await asyncio.sleep(4 * dice.random())
        silent_redis.kill()
        await asyncio.sleep(seconds_away)
        await asyncio.to_thread(silent_redis.start_again)
    is_sound(lagging_pair, *await acting)
