"""Following over a WebSocket: what comes, in which order, in which portions (contract §4, §5)."""

import asyncio
import time

from tests.stack.cluster import Cluster
from tests.stack.refusals import refuses
from tests.stack.rest import Rest
from tests.stack.sockets import Socket
from tests.stack.sse import follow
from tests.stack.waiting import eventually, in_time

EVENT = {
    *("specversion", "id", "source", "subject", "type", "time", "datacontenttype"),
    *("offset", "version", "data"),
}


async def test_an_event_is_a_cloud_event_with_the_resource_in_it(rest: Rest, socket: Socket, tree: str) -> None:
    followed = await socket.subscribe(f"{tree}*")
    created = await rest.call("resources/create", uri=f"{tree}a", content={"n": 1}, title="A")
    updated = await rest.call("resources/patch", uri=f"{tree}a", patch={"n": 2})
    deleted = await rest.call("resources/delete", uri=f"{tree}a")
    await followed.count(3)
    first, second, third = followed.events
    assert all(event.keys() == EVENT for event in followed.events)
    assert [event["type"] for event in followed.events] == [
        f"erlmcp.resource.{kind}" for kind in ("created", "updated", "deleted")
    ]
    assert [event["offset"] for event in followed.events] == [
        answer["offset"] for answer in (created, updated, deleted)
    ]
    assert (first["specversion"], first["subject"], first["version"]) == ("1.0", f"{tree}a", 1)
    assert first["data"] == created.result and second["data"] == updated.result
    assert third["version"] == 3 and "content" not in third["data"]


async def test_patterns_reach_as_far_as_they_say(rest: Rest, socket: Socket, tree: str) -> None:
    for name in ("a", "a/b", "a/b/c", "ab", "b"):
        await rest.call("resources/write", uri=f"{tree}{name}", content=0)
    exact = await socket.subscribe(f"{tree}a")
    level = await socket.subscribe(f"{tree}a/+")
    below = await socket.subscribe(f"{tree}a/*")
    everything = await socket.subscribe(f"{tree}*")
    for name in ("a", "a/b", "a/b/c", "ab", "b"):
        last = await rest.call("resources/write", uri=f"{tree}{name}", content=1)
    for followed in (exact, level, below, everything):
        if followed is everything:
            await followed.reach(last["offset"])
    await below.count(2)
    await level.count(1)
    await exact.count(1)
    got = {
        name: [event["subject"].removeprefix(tree) for event in followed.events]
        for name, followed in {"exact": exact, "level": level, "below": below, "all": everything}.items()
    }
    assert got == {"exact": ["a"], "level": ["a/b"], "below": ["a/b", "a/b/c"], "all": ["a", "a/b", "a/b/c", "ab", "b"]}


async def test_only_the_kinds_asked_for_come(rest: Rest, socket: Socket, tree: str) -> None:
    followed = await socket.subscribe(f"{tree}*", events=["created", "deleted"])
    for n in range(3):
        await rest.call("resources/write", uri=f"{tree}a", content=n)
    await rest.call("resources/delete", uri=f"{tree}a")
    await followed.count(2)
    assert [event["type"].rsplit(".")[-1] for event in followed.events] == ["created", "deleted"]


async def test_content_is_left_out_on_request(rest: Rest, socket: Socket, tree: str) -> None:
    without = await socket.subscribe(f"{tree}*", options={"include_content": False})
    within = await socket.subscribe(f"{tree}*")
    await rest.call("resources/write", uri=f"{tree}a", content={"big": "x" * 100})
    await without.count(1)
    await within.count(1)
    assert "content" not in without.events[0]["data"] and "content" in within.events[0]["data"]


async def test_a_resume_gets_exactly_what_came_after(rest: Rest, stack: Cluster, tree: str) -> None:
    offsets = [(await rest.call("resources/write", uri=f"{tree}a", content=n))["offset"] for n in range(10)]
    async with await stack.socket("bob", node=len(stack.nodes) - 1) as socket:
        for at in (0, 4, 8, 9):
            followed = await socket.subscribe(f"{tree}a", start=offsets[at])
            await followed.count(9 - at)
            assert [event["offset"] for event in followed.events] == offsets[at + 1 :]
            assert followed.checker.offset >= offsets[at]
            await socket.call("resources/unsubscribe", subscription=followed.id)
        followed = await socket.subscribe(f"{tree}a", start="earliest")
        await followed.count(10)
        assert [event["offset"] for event in followed.events] == offsets


async def test_batch_size_bounds_a_delivery(rest: Rest, socket: Socket, tree: str) -> None:
    operations = [{"method": "resources/write", "params": {"uri": f"{tree}{n}", "content": n}} for n in range(50)]
    followed = await socket.subscribe(f"{tree}*", options={"batch_size": 8})
    await rest.call("resources/batch", operations=operations)
    await followed.count(50)
    assert max(followed.deliveries) <= 8
    replayed = await socket.subscribe(f"{tree}*", options={"batch_size": 8}, start="earliest")
    await replayed.count(50)
    assert max(replayed.deliveries) <= 8
    followed.checker.sound()


async def test_throttle_gathers(rest: Rest, socket: Socket, tree: str) -> None:
    followed = await socket.subscribe(f"{tree}*", options={"throttle_ms": 500})
    started = time.monotonic()
    for n in range(40):
        await rest.call("resources/write", uri=f"{tree}{n % 3}", content=n)
    await followed.count(40)
    assert len(followed.deliveries) <= (time.monotonic() - started) / 0.5 + 2
    followed.checker.sound()


async def test_an_idle_follower_is_told_where_it_is_within_ten_seconds(
    rest: Rest, socket: Socket, tree: str, stack: Cluster
) -> None:
    """The bookmark is safe to resume from, though the follower's own tree has had no event at all."""
    other = stack.tree()
    idle = await socket.subscribe(f"{tree}*")

    async def be_idle() -> float:
        began = time.monotonic()
        async with follow(rest, uri=f"{tree}*") as stream:
            elsewhere = await rest.call("resources/write", uri=f"{other}a", content=1)
            await idle.reach(elsewhere["offset"])
            bookmark = await stream.named("bookmark")
            took = time.monotonic() - began
            assert idle.bookmarks
            assert bookmark.data.keys() == {"subscription", "offset"}
            assert bookmark.id == str(bookmark.data["offset"])
            await eventually(lambda: "ping" in stream.comments, 30, "a ping")
            return max(took, time.monotonic() - began - 5)

    await in_time(be_idle, 11, "a bookmark, and a ping five seconds later")
    written = await rest.call("resources/write", uri=f"{tree}a", content=1)
    async with await stack.socket("alice") as again:
        resumed = await again.subscribe(f"{tree}*", start=idle.bookmarks[-1])
        await resumed.count(1)
        assert [event["offset"] for event in resumed.events] == [written["offset"]]


async def test_after_unsubscribing_nothing_comes(rest: Rest, socket: Socket, tree: str) -> None:
    followed = await socket.subscribe(f"{tree}*")
    kept = await socket.subscribe(f"{tree}*")
    await socket.call("resources/unsubscribe", subscription=followed.id)
    await rest.call("resources/write", uri=f"{tree}a", content=1)
    await kept.count(1)
    assert followed.events == []
    with refuses("resource_not_found"):
        await socket.call("resources/unsubscribe", subscription=followed.id)


async def test_what_is_not_there_cannot_be_followed(socket: Socket, tree: str) -> None:
    with refuses("resource_not_found"):
        await socket.subscribe(f"{tree}a")
    wrong: list[dict] = [{}, {"uri": f"{tree}*", "subscription": "both"}, {"uri": {}}]
    for params in wrong:
        with refuses("invalid_params"):
            await socket.call("resources/subscribe", **params)
    with refuses("invalid_uri"):
        await socket.subscribe("nonsense/*")


async def test_several_followers_of_one_socket_get_the_same(rest: Rest, socket: Socket, tree: str) -> None:
    followers = [await socket.subscribe(f"{tree}*") for _ in range(5)]
    await asyncio.gather(*(rest.call("resources/write", uri=f"{tree}{n % 9}", content=n) for n in range(90)))
    for followed in followers:
        await followed.count(90)
        followed.checker.sound()
    assert all(followed.events == followers[0].events for followed in followers)
    assert len({followed.id for followed in followers}) == 5


async def test_a_batch_arrives_whole_and_in_order(rest: Rest, socket: Socket, tree: str) -> None:
    followed = await socket.subscribe(f"{tree}*")
    for number in range(20):
        operations = [
            {"method": "resources/write", "params": {"uri": f"{tree}{n}", "content": number}} for n in range(5)
        ]
        await rest.call("resources/batch", operations=operations)
    await followed.count(100)
    for number in range(20):
        part = followed.events[number * 5 : number * 5 + 5]
        assert [event["data"]["content"] for event in part] == [number] * 5
        assert [event["offset"] - part[0]["offset"] for event in part] == [0, 1, 2, 3, 4]
