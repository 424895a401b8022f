"""Offsets that the log cannot go on from: always said, never a partial replay (contract §4; quality 4)."""

from collections.abc import Iterator

import pytest

from tests.stack.cluster import KINDS, Cluster, running
from tests.stack.refusals import refuses
from tests.stack.rest import Rest
from tests.stack.sockets import Socket
from tests.stack.sse import follow

FUTURE = 1_000_000_000


@pytest.fixture(scope="module", params=KINDS)
def stack(request: pytest.FixtureRequest) -> Iterator[Cluster]:
    """A system of its own, for its log is trimmed here."""
    parts = {} if request.param == "sqlite" else {name: request.getfixturevalue(name) for name in ("postgres", "redis")}
    with running(request.param, **parts) as cluster:
        yield cluster


@pytest.fixture
async def trimmed(rest: Rest, stack: Cluster, tree: str) -> int:
    """The offset of an event that the log no longer has; later ones it has."""
    first = await rest.call("resources/write", uri=f"{tree}a", content=1)
    for n in range(5):
        await rest.call("resources/write", uri=f"{tree}a", content=n)
    stack.nodes[0].manage("log", "trim", "--keep", "2")
    offset: int = first["offset"]
    return offset


async def test_a_socket_is_told_to_reset(rest: Rest, socket: Socket, stack: Cluster, tree: str, trimmed: int) -> None:
    for offset in (trimmed, 1, FUTURE):
        with refuses("reset") as refusal:
            await socket.subscribe(f"{tree}a", start=offset)
        assert refusal["head"] == stack.truth.head()
        assert refusal["earliest"] == refusal["head"] - 1
    assert socket.followed == {}
    kept = await socket.subscribe(f"{tree}a", start="earliest")
    await kept.count(2)
    assert [event["version"] for event in kept.events] == [5, 6]
    edge = await socket.subscribe(f"{tree}a", start=stack.truth.head() - 2)
    await edge.count(2)


async def test_a_poll_is_told_to_reset(rest: Rest, tree: str, trimmed: int) -> None:
    subscription = (await rest.call("subscriptions/create", uri=f"{tree}*"))["id"]
    for offset in (trimmed, FUTURE):
        with refuses("reset") as refusal:
            await rest.call("events/poll", subscription=subscription, after=offset, timeout_ms=0)
        assert refusal.error.number == 410
    for garbage in ("x", "-1", "1.5", "9" * 30):
        with refuses("invalid_params"):
            await rest.call("events/poll", subscription=subscription, after=garbage, timeout_ms=0)


async def test_a_subscription_cannot_begin_where_the_log_does_not(rest: Rest, tree: str, trimmed: int) -> None:
    for offset in (trimmed, FUTURE):
        with refuses("reset"):
            await rest.call("subscriptions/create", uri=f"{tree}*", **{"from": offset})


async def test_a_stream_is_told_to_reset_and_ends(rest: Rest, stack: Cluster, tree: str, trimmed: int) -> None:
    for offset in (trimmed, FUTURE):
        async with follow(rest, {"Last-Event-ID": str(offset)}, uri=f"{tree}*") as stream:
            reset = await stream.named("reset")
            assert reset.data["head"] == stack.truth.head()
            assert reset.data["earliest"] == reset.data["head"] - 1
            await stream.end(within=5)
            assert stream.events == []


async def test_a_durable_subscription_that_fell_behind_is_told(rest: Rest, stack: Cluster, tree: str) -> None:
    subscription = (await rest.call("subscriptions/create", uri=f"{tree}*"))["id"]
    for n in range(5):
        await rest.call("resources/write", uri=f"{tree}a", content=n)
    stack.nodes[0].manage("log", "trim", "--keep", "0")
    with refuses("reset") as refusal:
        await rest.call("events/poll", subscription=subscription, timeout_ms=0)
    assert refusal["earliest"] == refusal["head"] + 1
    await rest.call("events/ack", subscription=subscription, offset=refusal["head"])
    written = await rest.call("resources/write", uri=f"{tree}a", content="after")
    polled = await rest.call("events/poll", subscription=subscription, timeout_ms=5000)
    assert [event["offset"] for event in polled["events"]] == [written["offset"]]


async def test_trimming_the_whole_log_keeps_its_numbers(rest: Rest, stack: Cluster, tree: str) -> None:
    before = await rest.call("resources/write", uri=f"{tree}a", content=1)
    stack.nodes[0].manage("log", "trim", "--keep", "0")
    assert stack.truth.offsets() == []
    after = await rest.call("resources/write", uri=f"{tree}a", content=2)
    assert after["offset"] == before["offset"] + 1
    assert after["version"] == 2


async def test_a_live_follower_does_not_mind_a_trim_behind_it(
    rest: Rest, socket: Socket, stack: Cluster, tree: str
) -> None:
    followed = await socket.subscribe(f"{tree}*")
    for n in range(5):
        await rest.call("resources/write", uri=f"{tree}a", content=n)
    await followed.count(5)
    stack.nodes[0].manage("log", "trim", "--keep", "0")
    await rest.call("resources/write", uri=f"{tree}a", content="after")
    await followed.count(6)
    followed.checker.sound()
