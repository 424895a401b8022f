"""Offsets that the log cannot go on from: always said, never a partial replay (contract §4; quality 4)."""

from collections.abc import Awaitable, Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import httpx
import pytest

from tests.stack.answers import Refused
from tests.stack.cluster import KINDS, Cluster, running
from tests.stack.refusals import refuses
from tests.stack.rest import Rest, path_of
from tests.stack.sockets import Socket
from tests.stack.sse import follow

SHORT, LONG = "resource://short.local/", "resource://long.local/"
RULES = f"{SHORT}=2/0, {LONG}=0/365d"

GARBAGE_TEXTS = ("x", "-1", "1.5", "9" * 30, "0x1f", "1_0", "１", "null", "18446744073709551616")
GARBAGE_VALUES: tuple[Any, ...] = (*GARBAGE_TEXTS, "", -1, 1.5, None, True, [1], {}, 2**63)


@pytest.fixture(scope="module", params=KINDS)
def stack(request: pytest.FixtureRequest) -> Iterator[Cluster]:
    """A system of its own, for its log is trimmed here."""
    parts = {} if request.param == "sqlite" else {name: request.getfixturevalue(name) for name in ("postgres", "redis")}
    with running(request.param, **parts, environment={"LOG_RETENTION_PREFIXES": RULES}) as cluster:
        yield cluster


@dataclass(frozen=True)
class Asking:
    """Who asks, and for what: all below `tree`, or a durable subscription to that."""

    rest: Rest
    socket: Socket
    tree: str
    subscription: str


Way = Callable[[Asking, Any], Awaitable[Any]]


async def stream(asking: Asking, params: Mapping[str, Any], *, last: Any = None) -> None:
    """Follow over SSE, after a Last-Event-ID. Raises Refused, also for a stream that is nothing but a reset."""
    headers = {} if last is None else {"Last-Event-ID": str(last).encode()}
    async with follow(asking.rest, headers, **params) as opened:
        reset = await opened.named("reset")
        await opened.end(within=30)
        assert [message.name for message in opened.messages] == ["reset"]
        raise Refused("reset", 410, reset.data)


def pattern(asking: Asking) -> dict[str, str]:
    return {"uri": f"{asking.tree}*"}


def durable(asking: Asking) -> dict[str, str]:
    return {"subscription": asking.subscription}


IN_TEXTS: dict[str, Way] = {
    "SSE after": lambda asking, offset: stream(asking, {**pattern(asking), "after": offset}),
    "SSE from": lambda asking, offset: stream(asking, {**pattern(asking), "from": offset}),
    "SSE Last-Event-ID": lambda asking, offset: stream(asking, {**pattern(asking), "from": "now"}, last=offset),
    "SSE of a subscription, after": lambda asking, offset: stream(asking, {**durable(asking), "after": offset}),
    "SSE of a subscription, Last-Event-ID": lambda asking, offset: stream(asking, durable(asking), last=offset),
    "poll over REST": lambda asking, offset: asking.rest.call(
        "events/poll", **durable(asking), after=offset, timeout_ms=0
    ),
}
IN_JSON: dict[str, Way] = {
    "WebSocket from": lambda asking, offset: asking.socket.subscribe(f"{asking.tree}*", **{"from": offset}),
    "WebSocket after": lambda asking, offset: asking.socket.subscribe(f"{asking.tree}*", after=offset),
    "WebSocket of a subscription, after": lambda asking, offset: asking.socket.call(
        "resources/subscribe", **durable(asking), after=offset
    ),
    "WebSocket of a subscription, from": lambda asking, offset: asking.socket.call(
        "resources/subscribe", **durable(asking), **{"from": offset}
    ),
    "poll over WebSocket": lambda asking, offset: asking.socket.call(
        "events/poll", **durable(asking), after=offset, timeout_ms=0
    ),
    "a subscription made over REST": lambda asking, offset: asking.rest.call(
        "subscriptions/create", **pattern(asking), **{"from": offset}
    ),
    "a subscription made over WebSocket": lambda asking, offset: asking.socket.call(
        "subscriptions/create", **pattern(asking), **{"from": offset}
    ),
}
ACKS: dict[str, Way] = {
    "ack over REST": lambda asking, offset: asking.rest.call("events/ack", **durable(asking), offset=offset),
    "ack over WebSocket": lambda asking, offset: asking.socket.call("events/ack", **durable(asking), offset=offset),
}
RESUMES = IN_TEXTS | IN_JSON


@pytest.fixture
async def asking(rest: Rest, socket: Socket, tree: str) -> Asking:
    made = await rest.call("subscriptions/create", uri=f"{tree}*")
    return Asking(rest, socket, tree, made["id"])


@pytest.fixture(scope="module")
def trimmed(stack: Cluster) -> int:
    """The offset of an event that the log has no more; there are two that it has."""
    headers = {"Authorization": f"Bearer {stack.token('alice')}"}
    address = f"{stack.nodes[0].base}/api/v1/{path_of(stack.tree() + 'a')}"
    answers = [
        httpx.put(address, json={"content": n}, headers=headers, timeout=30, trust_env=False).json() for n in range(6)
    ]
    stack.nodes[0].manage("log", "trim", "--keep", "2")
    offset: int = answers[2]["offset"]
    return offset


@pytest.mark.parametrize("way", RESUMES)
async def test_a_trimmed_offset_is_a_reset(asking: Asking, stack: Cluster, trimmed: int, way: str) -> None:
    for offset in (trimmed, 1, 0):
        with refuses("reset") as refusal:
            await RESUMES[way](asking, offset)
        assert trimmed + 1 < refusal["earliest"] <= refusal["head"] + 1 == stack.truth.head() + 1
        assert refusal.error.number in {410, -32016}
    assert asking.socket.followed == {}


@pytest.mark.parametrize("way", RESUMES | ACKS)
async def test_an_offset_that_has_not_been_is_a_reset(asking: Asking, stack: Cluster, trimmed: int, way: str) -> None:
    """Whether it lies in the future or comes from the log of another installation, which has gone further."""
    head = stack.truth.head()
    for offset in (head + 1, head + 1000, 10**9, 2**63 - 1):
        with refuses("reset") as refusal:
            await (RESUMES | ACKS)[way](asking, offset)
        assert trimmed < refusal["earliest"] <= refusal["head"] + 1 == head + 1
    assert asking.socket.followed == {}


@pytest.mark.parametrize("way", RESUMES | ACKS)
async def test_what_is_no_offset_is_refused(asking: Asking, way: str) -> None:
    for garbage in GARBAGE_TEXTS if way in IN_TEXTS else GARBAGE_VALUES:
        with refuses("invalid_params"):
            await (RESUMES | ACKS)[way](asking, garbage)
    assert asking.socket.followed == {}


async def test_what_was_dealt_with_before_it_was_trimmed_is_acknowledged_but_no_place_to_resume(
    asking: Asking, stack: Cluster
) -> None:
    written = [await asking.rest.call("resources/write", uri=f"{asking.tree}a", content=n) for n in range(6)]
    stack.nodes[0].manage("log", "trim", "--keep", "2")
    answer = await asking.rest.call("events/ack", subscription=asking.subscription, offset=written[1]["offset"])
    assert answer["offset"] == written[1]["offset"]
    for resume in (
        lambda: asking.rest.call("events/poll", **durable(asking), timeout_ms=0),
        lambda: asking.socket.subscribe_again(asking.subscription),
        lambda: stream(asking, durable(asking)),
    ):
        with refuses("reset") as refusal:
            await resume()
        assert refusal["earliest"] == refusal["head"] - 1 == written[4]["offset"]


async def test_the_earliest_and_the_offset_before_it_are_good(
    rest: Rest, socket: Socket, stack: Cluster, tree: str
) -> None:
    for n in range(6):
        await rest.call("resources/write", uri=f"{tree}a", content=n)
    stack.nodes[0].manage("log", "trim", "--keep", "2")
    kept = await socket.subscribe(f"{tree}a", start="earliest")
    await kept.count(2)
    edge = await socket.subscribe(f"{tree}a", start=stack.truth.head() - 2)
    await edge.count(2)
    assert [event["version"] for event in kept.events] == [event["version"] for event in edge.events] == [5, 6]


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


@pytest.fixture
async def apart(rest: Rest, stack: Cluster) -> tuple[dict[str, str], list[int]]:
    """Durable subscriptions by prefix, and five offsets below LONG since; two are kept below SHORT, all below LONG."""
    made = {prefix: (await rest.call("subscriptions/create", uri=f"{prefix}*"))["id"] for prefix in (SHORT, LONG)}
    offsets = []
    for n in range(5):
        await rest.call("resources/write", uri=f"{SHORT}a", content=n)
        offsets.append((await rest.call("resources/write", uri=f"{LONG}a", content=n))["offset"])
    stack.nodes[0].manage("log", "trim")
    return made, offsets


async def test_what_is_kept_shorter_resets_sooner_and_what_is_kept_longer_goes_on(
    rest: Rest, socket: Socket, stack: Cluster, apart: tuple[dict[str, str], list[int]]
) -> None:
    made, offsets = apart
    for resume in (
        lambda: rest.call("events/poll", subscription=made[SHORT], timeout_ms=0),
        lambda: socket.subscribe_again(made[SHORT]),
        lambda: socket.subscribe(f"{SHORT}*", start=offsets[0]),
        lambda: rest.call("subscriptions/create", uri=f"{SHORT}a", **{"from": offsets[0]}),
    ):
        with refuses("reset") as refusal:
            await resume()
        assert offsets[0] < refusal["earliest"] <= offsets[3]
    async with follow(rest, subscription=made[SHORT]) as told:
        assert (await told.named("reset")).data["earliest"] == refusal["earliest"]
        await told.end(within=30)
    polled = await rest.call("events/poll", subscription=made[LONG], timeout_ms=0)
    assert [event["offset"] for event in polled["events"]] == offsets
    followed = await socket.subscribe_again(made[LONG])
    await followed.count(5)
    async with follow(rest, {"Last-Event-ID": str(offsets[0])}, uri=f"{LONG}*") as streamed:
        await streamed.count(4)
    short = await socket.subscribe(f"{SHORT}*", start="earliest")
    await short.count(2)
    assert [event["data"]["content"] for event in short.events] == [3, 4]
    shown = stack.nodes[0].manage("log", "show")
    assert f"changes below {SHORT}: earliest {refusal['earliest']}\n" in shown


async def test_versions_that_were_trimmed_are_told_from_those_that_never_were(
    rest: Rest, socket: Socket, apart: tuple[dict[str, str], list[int]]
) -> None:
    present = (await rest.call("resources/read", uri=f"{SHORT}a"))["version"]
    for client in (rest, socket):
        for version, earliest in ((present - 2, present - 1), (1, present - 1)):
            with refuses("resource_not_found") as refusal:
                await client.call("resources/read", uri=f"{SHORT}a", version=version)
            assert (refusal["version"], refusal["earliest_version"]) == (version, earliest)
        with refuses("resource_not_found") as refusal:
            await client.call("resources/diff", uri=f"{SHORT}a", **{"from": 1})
        assert refusal["earliest_version"] == present - 1
        history = await client.call("resources/history", uri=f"{SHORT}a")
        assert [item["version"] for item in history["versions"]] == [present, present - 1]
        assert len((await client.call("resources/history", uri=f"{LONG}a"))["versions"]) >= 5


async def test_the_present_version_is_there_when_the_whole_log_is_trimmed(
    rest: Rest, socket: Socket, stack: Cluster, tree: str
) -> None:
    for n in range(3):
        await rest.call("resources/write", uri=f"{tree}a", content=n)
    stack.nodes[0].manage("log", "trim", "--keep", "0")
    for client in (rest, socket):
        assert (await client.call("resources/read", uri=f"{tree}a", version=3))["content"] == 2
        assert (await client.call("resources/diff", uri=f"{tree}a", **{"from": 3}))["patch"] == []
        (only,) = (await client.call("resources/history", uri=f"{tree}a"))["versions"]
        assert only["version"] == 3


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
