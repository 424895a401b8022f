"""Nodes know how far each other's sessions have got, and know when they do not know."""

import asyncio
import signal
import time
from collections.abc import AsyncIterator, Awaitable, Callable

import pytest
from redis.asyncio import Redis

from audit_app.database import in_database
from audit_app.deadlines import deadline, without_deadline
from resources_app.hub.followers import Follower
from resources_app.hub.topics import Topic
from resources_app.log.head import CHANGES
from resources_app.models import LogHead
from resources_app.patterns import parse_pattern
from sessions_app import marks
from sessions_app.line import Line
from sessions_app.marks import FollowedSessions
from sessions_app.positions import PositionUnknown, SharedPositions
from tests.resources.outlets import Client, following
from tests.stack.redis_server import RedisServer
from tests.stack.waiting import PATIENCE, eventually, in_time

pytestmark = pytest.mark.django_db(transaction=True)

HEAD = 1000
SETTLE_SECONDS = 1.0
SESSION = "018f0000-0000-7000-8000-000000000001"
OTHER = "018f0000-0000-7000-8000-000000000002"

Start = Callable[..., Awaitable["Node"]]


class Node:
    """The positions of one node, with the sessions that follow there."""

    def __init__(self, url: str, settle_seconds: float) -> None:
        self.followed = FollowedSessions()
        self.line = Line(url)
        self.positions = SharedPositions(self.line, self.followed, settle_seconds)

    async def stop(self) -> None:
        await self.positions.close()
        await self.line.close()

    async def knows(self, session: str = SESSION) -> int | None:
        """How far a session has got; None when the node says that it does not know."""
        try:
            return await self.positions.of(session, 0)
        except PositionUnknown:
            return None

    async def follow(self, session: str = SESSION) -> Follower:
        wanted = following("resource://example.com/*")
        topic = Topic(parse_pattern("resource://example.com/*"), wanted.events, 0)
        follower = Follower(wanted, Client(), topic, 0)
        self.followed.add(session, follower)
        await self.positions.mark(session)
        return follower


@pytest.fixture
async def start(server: RedisServer, redis: Redis, transactional_db: None) -> AsyncIterator[Start]:
    """Starts nodes that trust positions after `settle_seconds`, and waits until they do, on a log of 1,000 events."""
    await log_ends_at(HEAD)
    nodes: list[Node] = []

    async def start_node(settle_seconds: float = 0.0) -> Node:
        node = Node(server.url, settle_seconds)
        nodes.append(node)
        await knowing(node)
        return node

    yield start_node
    for node in nodes:
        await node.stop()


async def log_ends_at(head: int) -> None:
    await in_database(LogHead.objects.filter(stream=CHANGES).update, head=head)


async def knowing(node: Node) -> None:
    async def knows() -> bool:
        return await node.knows(OTHER) is not None

    await eventually(knows, 30, "the node trusts positions")


async def marked(node: Node) -> None:
    """Wait until a node trusts positions, but not that of the session that follows elsewhere."""

    async def is_marked() -> bool:
        return await node.knows(OTHER) is not None and await node.knows() is None

    await eventually(is_marked, 30, "the session is marked")


async def test_what_one_node_is_told_the_other_knows(start: Start) -> None:
    one, two = await start(), await start()
    await one.positions.tell(SESSION, HEAD + 5)
    assert await two.knows() == HEAD + 5
    await two.positions.tell(SESSION, HEAD + 3)
    assert await one.knows() == HEAD + 5


async def test_asking_tells_how_far_the_session_has_got_where_it_asks(start: Start) -> None:
    one, two = await start(), await start()
    assert await one.positions.of(SESSION, HEAD + 7) == HEAD + 7
    assert await two.knows() == HEAD + 7


async def test_what_was_told_before_a_node_began_is_no_further_than_the_head(start: Start) -> None:
    assert await (await start()).knows() == HEAD


async def test_many_who_tell_and_ask_at_once_share_few_exchanges(start: Start, redis: Redis) -> None:
    one, two = await start(), await start()
    before = (await redis.info("stats"))["total_commands_processed"]
    await asyncio.gather(*(one.positions.tell(f"{SESSION}{n}", HEAD + n) for n in range(500)))
    found = await asyncio.gather(*(two.knows(f"{SESSION}{n}") for n in range(500)))
    assert found == [HEAD + n for n in range(500)]
    assert (await redis.info("stats"))["total_commands_processed"] - before < 40


async def test_a_session_that_follows_elsewhere_may_have_been_told_anything(start: Start) -> None:
    one, two = await start(), await start()
    await one.follow()
    assert (await one.knows(), await two.knows()) == (HEAD, None)
    await two.follow()
    assert (await one.knows(), await two.knows()) == (None, None)
    assert (await one.knows(OTHER), await two.knows(OTHER)) == (HEAD, HEAD)


async def test_a_node_that_is_gone_is_forgotten_when_its_time_has_run_out(start: Start, redis: Redis) -> None:
    one, two = await start(), await start()
    gone = int(time.time()) - 1
    await redis.set(marks.key_of(SESSION), f"fedcba {gone}")
    await one.follow()
    assert (await one.knows(), await two.knows()) == (HEAD, None)
    assert 0 < await redis.ttl(marks.key_of(SESSION)) <= marks.KEPT_SECONDS


def test_a_session_follows_until_its_last_follower_has_left() -> None:
    followed = FollowedSessions()
    wanted = following("resource://example.com/*")
    topic = Topic(wanted.pattern, wanted.events, 0)
    first, second, stranger = (Follower(wanted, Client(), topic, 0) for _ in range(3))
    followed.add(SESSION, first)
    followed.add(SESSION, second)
    assert [followed.remove(one) for one in (first, first, stranger)] == [None, None, None]
    assert list(followed) == [SESSION]
    assert followed.remove(second) == SESSION
    assert list(followed) == []


async def test_after_a_quick_restart_nothing_counts_until_no_lost_answer_can_be_under_way(
    start: Start, server: RedisServer
) -> None:
    """redis-py replaces the broken connection without a word; the positions are gone."""
    one, two = await start(SETTLE_SECONDS), await start(SETTLE_SECONDS)
    await one.positions.tell(SESSION, HEAD + 5)
    assert await two.knows() == HEAD + 5
    await log_ends_at(HEAD + 5)
    server.kill()
    server.start_again()
    restarted = time.monotonic()
    assert await two.knows() is None
    await knowing(two)
    assert time.monotonic() - restarted >= SETTLE_SECONDS
    assert await two.knows() == HEAD + 5


async def test_a_server_that_comes_back_as_it_was_a_while_ago_is_not_believed(
    start: Start, server: RedisServer, redis: Redis
) -> None:
    one, two = await start(SETTLE_SECONDS), await start(SETTLE_SECONDS)
    await redis.save()
    await one.positions.tell(SESSION, HEAD + 5)
    await log_ends_at(HEAD + 5)
    server.kill()
    server.start_again()
    assert await two.knows() is None
    await knowing(two)
    assert await two.knows() == HEAD + 5


async def test_an_emptied_server_is_noticed_though_no_connection_broke(start: Start, redis: Redis) -> None:
    async def is_noticed(settle_seconds: float) -> bool:
        await log_ends_at(HEAD)
        one, two = await start(settle_seconds), await start(settle_seconds)
        await one.positions.tell(SESSION, HEAD + 5)
        await one.follow(OTHER)
        await log_ends_at(HEAD + 5)
        await redis.flushall()
        assert await two.knows() is None

        async def knows() -> bool:
            return await two.knows() == HEAD + 5

        await eventually(knows, PATIENCE, "the head stands in for what was lost")
        return await two.knows(OTHER) is None

    # a process that stands still for longer than this does not say in time that a session follows there
    assert await is_noticed(SETTLE_SECONDS) or await is_noticed(10 * SETTLE_SECONDS)


async def test_whoever_meets_a_new_connection_at_the_end_of_its_time_hinders_nobody(start: Start, redis: Redis) -> None:
    one = await start(SETTLE_SECONDS)
    await redis.client_kill_filter(_type="normal", skipme=True)
    await redis.execute_command("PING")
    late = without_deadline()
    late.run(deadline.set, time.monotonic())
    assert await asyncio.create_task(one.knows(), context=late) is None
    await knowing(one)


async def test_marks_come_back_by_themselves(start: Start, server: RedisServer) -> None:
    one, two = await start(), await start()
    await one.follow()
    server.kill()
    server.start_again()
    await marked(two)


async def test_while_redis_is_away_nobody_waits_and_nobody_knows(start: Start, server: RedisServer) -> None:
    nodes: list[Node] = []

    async def be_without() -> float:
        nodes[:] = one, two = await start(), await start()
        server.kill()
        began = time.monotonic()
        for _ in range(20):
            await one.positions.tell(SESSION, HEAD + 5)
            await one.follow()
            assert await two.knows() is None
        took = time.monotonic() - began
        server.start_again()
        return took

    await in_time(be_without, 1, "twenty rounds")
    one, two = nodes
    await marked(two)
    await knowing(one)
    assert await one.knows() == HEAD + 5


async def test_a_server_that_hangs_holds_nobody_for_long(start: Start, server: RedisServer) -> None:
    """Also those who came while the exchange hung that failed in the end."""
    one = await start()

    async def hang() -> float:
        server.process.send(signal.SIGSTOP)
        began = time.monotonic()

        async def one_after_the_other() -> None:
            await asyncio.gather(one.positions.tell(SESSION, HEAD + 5), *(one.knows(f"{SESSION}{n}") for n in range(5)))

        async def a_moment_later() -> None:
            await eventually(lambda: time.monotonic() - began > 0.2, PATIENCE, "an exchange hangs")
            await one_after_the_other()

        await asyncio.gather(one_after_the_other(), a_moment_later())
        took = time.monotonic() - began
        server.process.send(signal.SIGCONT)
        await knowing(one)
        return took

    await in_time(hang, 3, "all are let go")
    assert await one.knows() == HEAD + 5
