"""Durable subscriptions: kept, acknowledged, resumed, read by long poll (contract §4)."""

import asyncio
import time
import uuid

import pytest

from tests.contract.conftest import JSON, Client
from tests.stack.answers import Refused
from tests.stack.cluster import Cluster
from tests.stack.refusals import refuses
from tests.stack.rest import Rest
from tests.stack.sockets import Socket
from tests.stack.waiting import in_time


async def test_a_subscription_is_kept_until_it_is_deleted(alice: Client, tree: str) -> None:
    wanted = {"batch_size": 7, "throttle_ms": 20, "include_content": False}
    created = await alice.call(
        "subscriptions/create", uri=f"{tree}*", events=["created", "deleted"], label="mine", options=wanted
    )
    identity = created["id"]
    found = (await alice.call("subscriptions/get", subscription=identity)).result
    assert found == created.result
    assert found["label"] == "mine" and set(found["events"]) == {"created", "deleted"}
    assert {name: found["options"][name] for name in wanted} == wanted
    assert isinstance(found["offset"], int)
    listed = (await alice.call("subscriptions/list", limit=1000))["subscriptions"]
    assert identity in [item["id"] for item in listed]
    await alice.call("subscriptions/delete", subscription=identity)
    with refuses("resource_not_found"):
        await alice.call("subscriptions/get", subscription=identity)
    with refuses("resource_not_found"):
        await alice.call("subscriptions/delete", subscription=identity)


async def test_only_what_exists_can_be_subscribed_to_exactly(alice: Client, tree: str) -> None:
    with refuses("resource_not_found"):
        await alice.call("subscriptions/create", uri=f"{tree}a")
    await alice.call("resources/write", uri=f"{tree}a", content=1)
    assert (await alice.call("subscriptions/create", uri=f"{tree}a"))["id"]


@JSON
@pytest.mark.parametrize(
    "params",
    [
        {"events": ["exploded"]},
        {"events": []},
        {"events": "updated"},
        {"options": {"batch_size": 0}},
        {"options": {"batch_size": 1001}},
        {"options": {"throttle_ms": 60_001}},
        {"options": {"throttle_ms": -1}},
        {"options": 7},
        {"from": "yesterday"},
        {"from": -1},
        {"from": 1.5},
        {"from": None},
        {"label": "x" * 5000},
    ],
)
async def test_a_subscription_that_makes_no_sense_is_refused(alice: Client, tree: str, params: dict) -> None:
    with refuses("invalid_params"):
        await alice.call("subscriptions/create", uri=f"{tree}*", **params)


@pytest.mark.parametrize(
    "pattern", ["resource://host/**", "resource://host/a*", "resource://*/a", "*", "resource://h/*/b"]
)
async def test_a_pattern_ends_in_a_star_or_a_plus_alone(alice: Client, pattern: str) -> None:
    """What is no pattern is a URI: an odd one, which does not exist, or one that no resource can have."""
    with pytest.raises(Refused) as refused:
        await alice.call("subscriptions/create", uri=pattern)
    assert refused.value.code in {"invalid_uri", "resource_not_found"}


async def test_a_poll_answers_what_has_happened(alice: Client, tree: str) -> None:
    subscription = (await alice.call("subscriptions/create", uri=f"{tree}*"))["id"]
    written = [await alice.call("resources/write", uri=f"{tree}{n}", content=n) for n in range(5)]
    first = await alice.call("events/poll", subscription=subscription, limit=3, timeout_ms=5000)
    assert [event["subject"] for event in first["events"]] == [f"{tree}{n}" for n in range(3)]
    assert first["offset"] == written[2]["offset"]
    rest = await alice.call("events/poll", subscription=subscription, after=first["offset"], timeout_ms=5000)
    assert [event["offset"] for event in rest["events"]] == [answer["offset"] for answer in written[3:]]


async def test_a_poll_waits_for_what_comes(alice: Client, tree: str, rest: Rest) -> None:
    subscription = (await alice.call("subscriptions/create", uri=f"{tree}*"))["id"]
    polling = asyncio.create_task(alice.call("events/poll", subscription=subscription, timeout_ms=30_000))
    written = await rest.call("resources/write", uri=f"{tree}a", content=1)
    answer = await polling
    assert [event["offset"] for event in answer["events"]] == [written["offset"]]


async def test_a_poll_that_nothing_comes_for_answers_in_time(alice: Client, tree: str) -> None:
    subscription = (await alice.call("subscriptions/create", uri=f"{tree}*"))["id"]
    for timeout_ms in (0, 300):

        async def poll(timeout_ms: int = timeout_ms) -> float:
            started = time.monotonic()
            answer = await alice.call("events/poll", subscription=subscription, timeout_ms=timeout_ms)
            assert answer["events"] == [] and isinstance(answer["offset"], int)
            took = time.monotonic() - started
            assert timeout_ms / 1000 - 0.05 <= took
            return took

        await in_time(poll, timeout_ms / 1000 + 2, "the poll is answered")


async def test_polls_after_each_answer_miss_nothing(alice: Client, tree: str, rest: Rest, stack: Cluster) -> None:
    subscription = await alice.call("subscriptions/create", uri=f"{tree}*")
    start = after = subscription["offset"]

    async def write() -> None:
        for n in range(60):
            await rest.call("resources/write", uri=f"{tree}{n % 7}", content=n)

    writing = asyncio.create_task(write())
    got: list[int] = []
    while not (writing.done() and len(got) >= 60):
        answer = await alice.call("events/poll", subscription=subscription["id"], after=after, timeout_ms=1000, limit=5)
        got += [event["offset"] for event in answer["events"]]
        after = answer["offset"]
        assert len(answer["events"]) <= 5
    await writing
    assert got == [offset for offset, _, _ in stack.truth.log(tree, start)]


async def test_an_acknowledged_offset_is_where_the_subscription_goes_on(
    alice: Client, tree: str, stack: Cluster
) -> None:
    subscription = (await alice.call("subscriptions/create", uri=f"{tree}*"))["id"]
    written = [await alice.call("resources/write", uri=f"{tree}a", content=n) for n in range(4)]
    await alice.call("events/ack", subscription=subscription, offset=written[1]["offset"])
    polled = await alice.call("events/poll", subscription=subscription, timeout_ms=1000)
    assert [event["version"] for event in polled["events"]] == [3, 4]
    async with await stack.socket("alice", node=len(stack.nodes) - 1) as socket:
        followed = await socket.subscribe_again(subscription)
        await followed.count(2)
        assert [event["version"] for event in followed.events] == [3, 4]


async def test_acknowledging_never_goes_back(alice: Client, tree: str) -> None:
    subscription = (await alice.call("subscriptions/create", uri=f"{tree}*"))["id"]
    offsets = [(await alice.call("resources/write", uri=f"{tree}a", content=n))["offset"] for n in range(3)]
    await alice.call("events/ack", subscription=subscription, offset=offsets[2])
    await alice.call("events/ack", subscription=subscription, offset=offsets[0])
    assert (await alice.call("subscriptions/get", subscription=subscription))["offset"] == offsets[2]


@JSON
async def test_what_cannot_have_been_seen_is_not_acknowledged(alice: Client, tree: str, stack: Cluster) -> None:
    subscription = (await alice.call("subscriptions/create", uri=f"{tree}*"))["id"]
    with refuses("reset"):
        await alice.call("events/ack", subscription=subscription, offset=stack.truth.head() + 1_000_000)
    for offset in ("x", -1, None, 1.5, 2**63):
        with refuses("invalid_params"):
            await alice.call("events/ack", subscription=subscription, offset=offset)
    with refuses("resource_not_found"):
        await alice.call("events/ack", subscription=str(uuid.uuid4()), offset=1)


async def test_a_subscription_from_the_earliest_replays_what_is_kept(alice: Client, tree: str, socket: Socket) -> None:
    for n in range(3):
        await alice.call("resources/write", uri=f"{tree}a", content=n)
    subscription = await alice.call("subscriptions/create", uri=f"{tree}*", **{"from": "earliest"})
    followed = await socket.subscribe_again(subscription["id"])
    await followed.count(3)
    assert [event["version"] for event in followed.events] == [1, 2, 3]


async def test_a_deleted_subscription_is_followed_no_more(stack: Cluster, rest: Rest, tree: str) -> None:
    """Wherever its follower is connected, it is told within a second and hears of nothing after that."""

    async def delete() -> float:
        made = await rest.call("subscriptions/create", uri=f"{tree}*")
        async with await stack.socket("alice", node=len(stack.nodes) - 1) as other:
            followed = await other.subscribe_again(made["id"])
            await rest.call("subscriptions/delete", subscription=made["id"])
            at = time.monotonic()
            assert (await other.notice("unsubscribed"))["subscription"] == made["id"]
            took = time.monotonic() - at
            await rest.call("resources/write", uri=f"{tree}a", content=1)
            await other.call("resources/read", uri=f"{tree}a")
            assert followed.events == []
            with refuses("resource_not_found"):
                await other.subscribe_again(made["id"])
            return took

    await in_time(delete, 1, "the follower is told")
