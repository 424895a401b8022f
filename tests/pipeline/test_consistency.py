"""What a read promises, where this process lags behind another that writes (contract §3)."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from functools import partial
from typing import Any

import pytest
from django.contrib.auth.models import User
from pytest_django import Settings
from redis.asyncio import Redis

from audit_app.writer import Writer
from erlmcp_site.environment import Rate
from erlmcp_site.node import node
from resources_app.changes import Delete
from resources_app.hub.hub import hub
from resources_app.store import ChangeResources
from sessions_app.line import Line
from sessions_app.marks import FollowedSessions
from sessions_app.positions import KEY, PositionUnknown, SharedPositions
from telemetry_app.metrics import CACHE_REQUESTS
from tests.pipeline.calls import URI, ask, body, code, token_of
from tests.resources.commands import entry, write
from tests.resources.outlets import Client
from tests.stack.redis_server import RedisServer
from tests.stack.waiting import eventually

Elsewhere = Callable[..., Awaitable[int]]


@pytest.fixture
def lagging(settings: Settings) -> None:
    """The log is polled once a minute: what others write without a ring is not seen unless it is needed."""
    settings.LOG_POLL_SECONDS = 60


@pytest.fixture
async def elsewhere(lagging: None, running: dict[str, User]) -> AsyncIterator[Elsewhere]:
    """Writes a value, as another process does (None: deletes), and rings for nobody; returns the offset."""
    assert node.ring is not None
    await node.ring.stop()
    writer = Writer()

    async def change(value: Any, uri: str = URI) -> int:
        deletion = ChangeResources(changes=[Delete(uri=uri)], entry=entry())
        events = await writer.submit(deletion if value is None else write(value, uri))
        return int(events[-1].offset)

    yield change
    writer.close()


def counted(cache: str, result: str) -> int:
    return CACHE_REQUESTS.labels(cache, result).count


async def test_only_an_eventual_read_takes_what_is_at_hand(elsewhere: Elsewhere) -> None:
    alice = await token_of("alice")
    await ask("resources/write", {"uri": URI, "content": 1}, alice)
    offset = await elsewhere(2)
    eventual = await ask("resources/read", {"uri": URI, "consistency": "eventual"}, alice)
    strong = await ask("resources/read", {"uri": URI, "consistency": "strong"}, alice)
    assert (body(eventual)["content"], eventual.offset) == (1, offset - 1)
    assert (body(strong)["content"], strong.offset) == (2, offset)


async def test_a_causal_read_is_no_older_than_anything_the_session_was_told(elsewhere: Elsewhere) -> None:
    alice = await token_of("alice")
    await elsewhere(1)
    strong = await ask("resources/read", {"uri": URI, "consistency": "strong"}, alice)
    causal = await ask("resources/read", {"uri": URI}, alice)
    assert body(causal) == body(strong)
    assert causal.offset >= strong.offset
    offset = await elsewhere(2)
    after = await ask("resources/read", {"uri": URI, "after": offset}, alice)
    assert (body(after)["content"], after.offset) == (2, offset)


@pytest.mark.parametrize(
    ("method", "params", "refused"),
    [
        ("resources/write", {"content": 3, "base_version": 1, "on_conflict": "reject"}, "version_conflict"),
        ("resources/create", {"content": 3}, "already_exists"),
        ("resources/patch", {"patch": [{"op": "test", "path": "", "value": 1}], "patch_type": "json"}, "patch_failed"),
    ],
)
async def test_a_refusal_tells_of_the_present_version(
    elsewhere: Elsewhere, method: str, params: dict[str, Any], refused: str
) -> None:
    """Whoever is refused because of a later version can read it."""
    alice = await token_of("alice")
    await ask("resources/write", {"uri": URI, "content": 1}, alice)
    offset = await elsewhere(2)
    refusal = await ask(method, {"uri": URI} | params, alice)
    assert code(refusal) == refused
    assert refusal.offset >= offset
    assert body(await ask("resources/read", {"uri": URI}, alice))["content"] == 2


async def test_a_refusal_tells_of_what_was_decided_just_before_it(elsewhere: Elsewhere) -> None:
    """Of two creations in one commit the second is refused, and tells of the first."""
    alice = await token_of("alice")
    creations = [ask("resources/create", {"uri": URI, "content": n}, alice) for n in range(20)]
    replies = await asyncio.gather(*creations)
    (created,) = [reply for reply in replies if code(reply) is None]
    assert all(reply.offset >= created.offset for reply in replies)


async def test_a_list_tells_of_what_is_not_on_it_any_more(elsewhere: Elsewhere) -> None:
    alice = await token_of("alice")
    await ask("resources/write", {"uri": URI, "content": 1}, alice)
    offset = await elsewhere(None)
    listed = await ask("resources/list", {}, alice)
    assert (body(listed)["resources"], listed.offset) == ([], offset)
    assert code(await ask("resources/read", {"uri": URI}, alice)) == "resource_not_found"


async def test_a_subscription_tells_that_its_resource_exists(elsewhere: Elsewhere) -> None:
    """This process knows only that it was deleted."""
    alice = await token_of("alice")
    await ask("resources/write", {"uri": URI, "content": 1}, alice)
    await ask("resources/delete", {"uri": URI}, alice)
    await elsewhere(2)
    assert code(await ask("subscriptions/create", {"uri": URI}, alice)) is None
    assert body(await ask("resources/read", {"uri": URI}, alice))["content"] == 2


async def test_who_subscribes_before_a_deletion_was_seen_is_told_of_it(elsewhere: Elsewhere) -> None:
    """What this process holds is as good as the database where a follower begins at the same place in the log."""
    alice, outlet = await token_of("alice"), Client()
    await ask("resources/write", {"uri": URI, "content": 1}, alice)
    deleted = await elsewhere(None)
    reply = await ask("resources/subscribe", {"uri": URI}, alice, outlet=outlet)
    assert reply.then is not None
    reply.then()
    assert body(reply)["offset"] == deleted - 1
    hub.ring()
    await eventually(lambda: outlet.offsets, 30, "the deletion")
    assert outlet.offsets == [deleted]
    assert code(await ask("resources/subscribe", {"uri": URI}, alice, outlet=Client())) == "resource_not_found"


@pytest.mark.parametrize("method", ["resources/subscribe", "subscriptions/create"])
async def test_no_session_subscribes_to_what_it_knows_to_be_deleted(elsewhere: Elsewhere, method: str) -> None:
    """It was told by a list, of which this process has seen nothing yet."""
    alice = await token_of("alice")
    await ask("resources/write", {"uri": URI, "content": 1}, alice)
    offset = await elsewhere(None)
    assert (await ask("resources/list", {}, alice)).offset == offset > hub.position
    assert code(await ask(method, {"uri": URI}, alice, outlet=Client())) == "resource_not_found"


async def test_no_answer_to_a_subscription_hides_a_deletion_that_came_meanwhile(elsewhere: Elsewhere) -> None:
    """Whatever was deleted up to the offset of the answer is refused, what is deleted behind it is told."""
    alice = await token_of("alice")
    for value in range(5):
        await ask("resources/write", {"uri": URI, "content": value}, alice)
        hub.cache.clear()
        outlets = [Client() for _ in range(5)]
        *replies, gone = await asyncio.gather(
            *(ask("resources/subscribe", {"uri": URI}, alice, outlet=outlet) for outlet in outlets),
            ask("resources/delete", {"uri": URI}, alice),
        )
        for outlet, reply in zip(outlets, replies, strict=True):
            if code(reply) is None:
                assert reply.then is not None
                reply.then()
                await eventually(partial(getattr, outlet, "offsets"), 30, "the deletion")
                assert outlet.offsets == [gone.offset]
            else:
                assert code(reply) == "resource_not_found"


async def test_nothing_is_pushed_that_could_not_be_read(elsewhere: Elsewhere) -> None:
    """A follower that catches up from the log is not told of what this process has not seen yet."""
    alice, outlet = await token_of("alice"), Client()
    read = {"uri": URI, "consistency": "eventual"}
    written = await ask("resources/write", {"uri": URI, "content": 1}, alice)
    await elsewhere(2)
    following = {"uri": "resource://example.com/*", "after": written.offset - 1}
    reply = await ask("resources/subscribe", following, alice, outlet=outlet)
    assert reply.then is not None
    reply.then()
    await eventually(lambda: outlet.offsets, 30, "the replay")
    assert outlet.offsets == [written.offset]
    assert body(await ask("resources/read", read, alice))["content"] == 1
    hub.ring()
    await eventually(lambda: len(outlet.offsets) == 2, 30, "the live event")
    assert body(await ask("resources/read", read, alice))["content"] == 2


async def test_an_answer_claims_no_more_than_it_reflects(elsewhere: Elsewhere) -> None:
    """Read, then follow from the offset of the answer: nothing is missed, whatever is written meanwhile."""
    alice = await token_of("alice")
    await elsewhere(0)
    writing = True

    async def keep_writing() -> None:
        value = 0
        while writing:
            value += 1
            await elsewhere(value)
            hub.ring()

    async def read(consistency: str) -> None:
        for _ in range(40):
            answer = await ask("resources/read", {"uri": URI, "consistency": consistency}, alice)
            answers.append((answer.offset, body(answer)["offset"]))

    answers: list[tuple[int, int]] = []
    background = asyncio.create_task(keep_writing())
    await asyncio.gather(*(read(consistency) for consistency in ("strong", "causal", "eventual")))
    writing = False
    await background
    # every change is one of this resource, so an answer reflects the log up to exactly the offset of what it shows
    assert [claimed for claimed, shown in answers if claimed > shown] == []


async def test_reads_that_could_not_wait_are_counted_and_share_one_look(elsewhere: Elsewhere) -> None:
    alice = await token_of("alice")
    await elsewhere(1)
    stale = counted("resources", "stale")
    replies = await asyncio.gather(*(ask("resources/read", {"uri": URI, "after": 10**9}, alice) for _ in range(30)))
    assert {body(reply)["content"] for reply in replies} == {1}
    assert counted("resources", "stale") == stale + 30


@pytest.fixture
async def shared(
    lagging: None, redis: RedisServer, settings: Settings, users: dict[str, User]
) -> AsyncIterator[SharedPositions]:
    """This process runs as one of two nodes that share positions; what the other knows."""
    settings.REDIS_URL = redis.url
    await node.start()
    line = Line(redis.url)
    other = SharedPositions(line, FollowedSessions(), settle_seconds=0)
    yield other
    await other.close()
    await line.close()
    await node.stop()


async def test_the_other_node_hears_how_far_a_session_has_got(shared: SharedPositions) -> None:
    alice = await token_of("alice")
    written = await ask("resources/write", {"uri": URI, "content": 1}, alice)
    assert written.session_id is not None
    assert await shared.of(written.session_id, 0) == written.offset
    read = await ask("resources/read", {"uri": URI}, alice)
    assert await shared.of(written.session_id, 0) == read.offset


async def test_the_other_node_hears_that_a_session_follows_here_and_how_far_it_got(
    shared: SharedPositions, redis: RedisServer
) -> None:
    alice, outlet = await token_of("alice"), Client()
    await ask("resources/write", {"uri": URI, "content": 1}, alice)
    reply = await ask("resources/subscribe", {"uri": URI}, alice, outlet=outlet)
    session = reply.session_id or ""
    with pytest.raises(PositionUnknown):
        await shared.of(session, 0)
    pushed = await ask("resources/write", {"uri": URI, "content": 2}, await token_of("alice"))
    (follower,) = outlet.followers.values()
    hub.leave(follower)
    async with Redis.from_url(redis.url) as client:

        async def is_told() -> bool:
            return bool(await client.zscore(KEY, session) == pushed.offset)

        await eventually(is_told, 30, "how far the session got")


async def test_a_causal_read_pays_one_round_trip_for_limits_and_position(
    shared: SharedPositions, redis: RedisServer, settings: Settings
) -> None:
    # a limit so small is asked for with each request
    settings.RATE_LIMIT_CALLER = Rate(amount=200, seconds=1)
    alice = await token_of("alice")
    session = (await ask("resources/write", {"uri": URI, "content": 1}, alice)).session_id
    assert session is not None

    async def order() -> list[str]:
        """What was asked for one read: the position before the limits only if both went out together."""
        async with Redis.from_url(redis.url) as client, client.monitor() as monitor:
            body(await ask("resources/read", {"uri": URI}, alice))
            await client.echo("done")
            found = []
            while not (line := (await monitor.next_command())["command"]).endswith("done"):
                if line.startswith("ZMSCORE") and session in line:
                    found.append("position")
                elif line.startswith("EVALSHA") and "limit:caller" in line:
                    found.append("limits")
            return found

    async def is_shared() -> bool:
        return await order() == ["position", "limits"]

    # the exchange of positions may be at rest for a millisecond
    await eventually(is_shared, 30, "one exchange for both")
