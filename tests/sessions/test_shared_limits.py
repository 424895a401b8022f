"""Nodes share their limits in a Redis: together they let through what one would, and each holds them alone without."""

import asyncio
import signal
from collections.abc import AsyncIterator, Awaitable, Callable

import pytest
from redis.asyncio import Redis

from erlmcp_site.environment import Rate
from sessions_app.errors import RateLimited
from sessions_app.lease_script import NODES, PREFIX
from sessions_app.leases import LEASED_FROM, LEASED_SHARE, NODE_SECONDS, SharedBuckets
from sessions_app.limits import Limits
from sessions_app.line import Line
from tests.stack.redis_server import RedisServer
from tests.stack.waiting import eventually

SMALL = Rate(amount=50, seconds=86_400)
LARGE = Rate(amount=2000, seconds=86_400)

Start = Callable[[], Awaitable["Node"]]


class Node:
    """The limits of one node."""

    def __init__(self, url: str) -> None:
        self.limits = Limits()
        self.line = Line(url)
        self.shared = SharedBuckets(self.line)
        self.limits.start(self.shared)

    async def stop(self) -> None:
        await self.limits.stop()
        await self.line.close()

    @property
    def is_up(self) -> bool:
        return self.shared.is_up

    async def asks(self, whom: str, rate: Rate, cost: int = 1) -> bool:
        """Whether a request is let through."""
        try:
            await self.limits.take("caller", rate, whom, cost)
        except RateLimited:
            return False
        return True

    async def ask(self, whom: str, rate: Rate, times: int) -> int:
        """Ask so many times at once; returns how many were let through."""
        return sum(await asyncio.gather(*(self.asks(whom, rate) for _ in range(times))))


@pytest.fixture
async def start(server: RedisServer, redis: Redis) -> AsyncIterator[Start]:
    """Starts nodes."""
    nodes: list[Node] = []

    async def start_node() -> Node:
        node = Node(server.url)
        nodes.append(node)
        return node

    yield start_node
    for node in nodes:
        await node.stop()


@pytest.mark.parametrize("rate", [SMALL, Rate(amount=7, seconds=86_400), Rate(amount=150, seconds=86_400)], ids=str)
async def test_200_at_once_on_two_nodes_let_through_exactly_the_limit(start: Start, rate: Rate) -> None:
    one, two = await start(), await start()
    let_through = await asyncio.gather(one.ask("anna", rate, 100), two.ask("anna", rate, 100))
    assert sum(let_through) == rate.amount
    assert await one.ask("anna", rate, 5) == await two.ask("anna", rate, 5) == 0
    assert await two.ask("berta", rate, 5) == 5


async def test_one_after_the_other_they_let_through_exactly_the_limit(start: Start) -> None:
    nodes = [await start(), await start()]
    let_through = [await nodes[number % 2].asks("anna", SMALL) for number in range(80)]
    assert let_through == [True] * 50 + [False] * 30


async def test_what_one_node_has_used_up_the_other_refuses(start: Start) -> None:
    one, two = await start(), await start()
    assert await one.ask("anna", SMALL, 50) == 50
    assert not await two.asks("anna", SMALL)


async def test_of_a_large_limit_tokens_are_lent_and_none_are_lost(start: Start, redis: Redis) -> None:
    one, two = await start(), await start()
    assert LARGE.amount >= LEASED_FROM
    assert await one.asks("anna", LARGE)
    values: list[bytes] = await redis.execute_command("HVALS", f"{PREFIX}caller:anna")
    (lent,) = [value for value in values if b":" in value]
    assert int(lent.split(b":")[0]) == (LARGE.amount - 1) // LEASED_SHARE
    for _ in range(20):
        assert await one.asks("anna", LARGE)
    let_through = 21 + sum(await asyncio.gather(one.ask("anna", LARGE, 2000), two.ask("anna", LARGE, 2000)))
    assert let_through == LARGE.amount


async def test_a_token_that_is_given_back_serves_another_node(start: Start) -> None:
    one, two = await start(), await start()
    rate = Rate(amount=1, seconds=86_400)
    assert await one.asks("anna", rate)
    assert not await two.asks("anna", rate)
    one.limits.give("caller", rate, "anna")
    await eventually(lambda: two.asks("anna", rate), 30, "the token is there")
    assert not await one.asks("anna", rate)


async def test_a_batch_that_is_refused_takes_nothing_from_anybody(start: Start) -> None:
    one, two = await start(), await start()
    assert await one.ask("anna", SMALL, 45) == 45
    assert not await two.asks("anna", SMALL, 6)
    assert await one.asks("anna", SMALL, 5)


@pytest.mark.parametrize("rate", [LARGE, Rate(amount=LEASED_FROM - 1, seconds=86_400)], ids=str)
async def test_requests_keep_their_order_while_some_wait_for_redis(start: Start, rate: Rate) -> None:
    order = await order_of(await start(), rate)
    assert order == list(range(250))


async def test_requests_keep_their_order_when_redis_goes_away(start: Start, server: RedisServer) -> None:
    node = await start()
    assert await node.asks("berta", LARGE)
    server.kill()
    try:
        order = await order_of(node, LARGE)
        assert order == list(range(250))
        assert not node.is_up
    finally:
        server.start_again()
    await eventually(lambda: node.is_up, 30, "it is back")


async def order_of(node: Node, rate: Rate) -> list[int]:
    """The order in which 250 requests are let through, which come a few in each turn of the loop."""
    order: list[int] = []

    async def ask(number: int) -> None:
        assert await node.asks("anna", rate)
        order.append(number)

    async with asyncio.TaskGroup() as group:
        for number in range(250):
            group.create_task(ask(number))
            if number % 7 == 0:
                await asyncio.sleep(0)
    return order


async def test_a_request_that_is_given_up_keeps_no_token(start: Start) -> None:
    one, two = await start(), await start()
    for _ in range(10):
        tasks = [asyncio.create_task(one.asks("anna", SMALL)) for _ in range(5)]
        await asyncio.sleep(0)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    let_through = 0

    async def all_were_there() -> bool:
        nonlocal let_through
        let_through += await two.asks("anna", SMALL)
        return let_through == SMALL.amount

    await eventually(all_were_there, 30, "all tokens are there")
    assert not await two.asks("anna", SMALL)


async def test_while_redis_is_away_each_node_holds_the_limit_alone(start: Start, server: RedisServer) -> None:
    one, two = await start(), await start()
    assert await one.ask("anna", SMALL, 30) == 30
    server.kill()
    try:
        assert await one.ask("anna", SMALL, 100) == 20
        assert await two.ask("anna", SMALL, 100) <= 50
        assert not one.is_up
    finally:
        server.start_again()
    await eventually(lambda: one.is_up and two.is_up, 30, "both are back")
    assert await one.ask("anna", SMALL, 10) == 0
    assert sum(await asyncio.gather(one.ask("berta", SMALL, 50), two.ask("berta", SMALL, 50))) == 50


async def test_while_redis_is_away_all_nodes_together_hold_the_limit(start: Start, server: RedisServer) -> None:
    nodes = [await start() for _ in range(3)]
    await eventually(lambda: {node.limits.nodes for node in nodes} == {3}, 30, "they know of each other")
    server.kill()
    try:
        await eventually(lambda: not any(node.is_up for node in nodes), 30, "they miss it")
        let_through = [await node.ask("anna", SMALL, 100) for node in nodes]
        assert let_through == [SMALL.amount // 3] * 3
        few = Rate(amount=2, seconds=86_400)
        assert [await node.ask("berta", few, 10) for node in nodes] == [1, 1, 1]
        nodes[0].limits.give("caller", SMALL, "anna")
        assert [await node.ask("anna", SMALL, 10) for node in nodes] == [1, 0, 0]
        with pytest.raises(RateLimited):
            nodes[0].limits.check("caller", SMALL, "anna")
    finally:
        server.start_again()
    await eventually(lambda: all(node.is_up for node in nodes), 30, "all are back")
    asked = await asyncio.gather(*(node.ask("clara", SMALL, 50) for node in nodes))
    assert sum(asked) == SMALL.amount


async def test_a_node_that_goes_in_the_middle_of_an_outage_opens_nothing(start: Start, server: RedisServer) -> None:
    one, two = await start(), await start()
    await eventually(lambda: one.limits.nodes == two.limits.nodes == 2, 30, "they know of each other")
    server.kill()
    try:
        await eventually(lambda: not (one.is_up or two.is_up), 30, "they miss it")
        await two.stop()
        assert await one.ask("anna", SMALL, 100) == SMALL.amount // 2
    finally:
        server.start_again()


async def test_a_node_that_stops_is_counted_no_more(start: Start, redis: Redis) -> None:
    one, two = await start(), await start()
    await eventually(lambda: one.limits.nodes == two.limits.nodes == 2, 30, "they know of each other")
    await two.stop()
    assert await redis.zcard(NODES) == 1
    assert 0 < await redis.ttl(NODES) <= NODE_SECONDS


async def test_what_another_node_used_up_is_known_without_asking_again(start: Start) -> None:
    one, two = await start(), await start()
    assert await one.ask("anna", SMALL, 50) == 50
    two.limits.check("caller", SMALL, "anna")
    assert not await two.asks("anna", SMALL)
    with pytest.raises(RateLimited):
        two.limits.check("caller", SMALL, "anna")
    two.limits.check("caller", SMALL, "berta")


async def test_a_redis_that_hangs_holds_only_those_who_asked_first(start: Start, server: RedisServer) -> None:
    node = await start()
    assert await node.asks("anna", SMALL)
    server.process.send(signal.SIGSTOP)
    try:
        assert await node.ask("anna", SMALL, 100) == 49
        assert not node.is_up
        assert await node.ask("berta", SMALL, 100) == 50
    finally:
        server.process.send(signal.SIGCONT)
    await eventually(lambda: node.is_up, 30, "it is back")


async def test_a_redis_that_lost_everything_opens_no_node(start: Start, redis: Redis) -> None:
    node = await start()
    assert await node.ask("anna", SMALL, 50) == 50
    await redis.flushall()
    await redis.script_flush()
    assert await node.ask("anna", SMALL, 50) == 0
    assert await node.ask("berta", SMALL, 60) == 50
    assert node.is_up


async def test_no_key_stays_for_ever(start: Start, redis: Redis) -> None:
    node = await start()
    rate = Rate(amount=5, seconds=60)
    for number in range(20):
        assert await node.asks(f"192.0.2.{number}", rate)
    keys = [key for key in await redis.keys(f"{PREFIX}*") if key != NODES.encode()]
    assert len(keys) == 20
    for key in keys:
        assert 0 < await redis.ttl(key) <= 62
