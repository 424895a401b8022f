"""Deltas: an update comes as a patch of its content to those who have been sent the version before (contract §4)."""

import random
from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack
from typing import Any

import pytest

from tests.stack.answers import Answer
from tests.stack.cluster import Cluster
from tests.stack.replica import Replica, told
from tests.stack.rest import Rest
from tests.stack.sockets import Socket
from tests.stack.sse import follow

LARGE = {"fixed": "x" * 1000, "list": list(range(100)), "n": 0}
DELTA = {"delta": True}


def whole(events: Sequence[Mapping[str, Any]]) -> list[bool]:
    """Which of the events bring the whole resource."""
    return ["patch" not in event["data"] for event in events]


async def test_an_update_comes_as_a_patch_of_its_content(rest: Rest, socket: Socket, tree: str) -> None:
    followed = await socket.subscribe(f"{tree}*", options=DELTA)
    created = await rest.call("resources/create", uri=f"{tree}a", content=LARGE)
    updated = await rest.call("resources/patch", uri=f"{tree}a", patch={"n": 1})
    await rest.call("resources/delete", uri=f"{tree}a")
    await followed.count(3)
    first, second, third = followed.events
    assert first["data"] == created.result
    assert second["data"] == {"patch": [{"op": "replace", "path": "/n", "value": 1}], "base_version": 1}
    assert (second["version"], second["offset"], second["time"]) == (2, updated["offset"], updated["updated_at"])
    assert third["type"] == "erlmcp.resource.deleted" and third["data"]["version"] == 3


async def test_over_every_transport_deltas_reproduce_every_version(
    stack: Cluster, tree: str, rest: Rest, socket: Socket, dice: random.Random
) -> None:
    """Whoever writes on whichever node, and from wherever a client follows."""
    written = [await rest.call("resources/write", uri=f"{tree}{n}", content=some_content(dice)) for n in range(3)]
    kept = (await rest.call("subscriptions/create", uri=f"{tree}*", options=DELTA))["id"]
    streamed = (await rest.call("subscriptions/create", uri=f"{tree}*", options=DELTA))["id"]
    async with AsyncExitStack() as opened:
        writers = [await opened.enter_async_context(stack.rest("alice", node=n)) for n in range(len(stack.nodes))]
        live = await socket.subscribe(f"{tree}*", options=DELTA)
        durable = await socket.subscribe_again(kept)
        streams = [
            await opened.enter_async_context(follow(rest, subscription=streamed)),
            await opened.enter_async_context(follow(writers[-1], uri=f"{tree}*", delta="1", batch_size=3)),
        ]
        for _ in range(40):
            written.append(await some_change(dice.choice(writers), f"{tree}{dice.randrange(3)}", dice))
        replay = await socket.subscribe(f"{tree}*", start=written[0]["offset"] - 1, options=DELTA)
        resumed = await socket.subscribe(f"{tree}*", start=written[20]["offset"], options=DELTA)
        for _ in range(10):
            written.append(await some_change(dice.choice(writers), f"{tree}{dice.randrange(3)}", dice))
        for followed in (live, durable, replay, resumed):
            await followed.reach(written[-1]["offset"])
            followed.checker.sound()
        for stream in streams:
            await stream.count(50)
    for events, due in (
        *((followed.events, written[3:]) for followed in (live, durable)),
        *((stream.events, written[3:]) for stream in streams),
        (replay.events, written),
        (resumed.events, written[21:]),
    ):
        assert [event["offset"] for event in events] == [answer["offset"] for answer in due]
        replica = Replica()
        for event, answer in zip(events, due, strict=True):
            replica.take(event)
            assert told(replica.versions[event["subject"], event["version"]]) == told(answer.result)
        assert replica.deltas > len(due) // 2


def some_content(dice: random.Random) -> dict[str, Any]:
    return LARGE | {"n": dice.random(), "list": [dice.randrange(5) for _ in range(20)]}


async def some_change(rest: Rest, uri: str, dice: random.Random) -> Answer:
    match dice.randrange(10):
        case 0:
            return await rest.call("resources/write", uri=uri, content=some_content(dice), title=dice.choice("ab"))
        case 1 | 2:
            return await rest.call("resources/write", uri=uri, content=some_content(dice))
    return await rest.call("resources/patch", uri=uri, patch={"n": dice.choice([1, 1.0, True, None, "1", [], {}])})


async def test_a_resume_has_no_delta_on_what_came_before_it(rest: Rest, socket: Socket, tree: str) -> None:
    written = [await rest.call("resources/write", uri=f"{tree}a", content=LARGE | {"n": n}) for n in range(6)]
    followed = await socket.subscribe(f"{tree}*", start=written[2]["offset"], options=DELTA)
    await followed.count(3)
    assert [event["version"] for event in followed.events] == [4, 5, 6]
    assert whole(followed.events)[0]
    await rest.call("resources/patch", uri=f"{tree}a", patch={"n": -1})
    await followed.count(4)
    assert followed.events[3]["data"] == {
        "patch": [{"op": "replace", "path": "/n", "value": -1}],
        "base_version": 6,
    }


async def test_what_no_patch_can_tell_in_less_comes_whole(rest: Rest, socket: Socket, tree: str) -> None:
    followed = await socket.subscribe(f"{tree}*", options=DELTA)
    changes: list[tuple[dict[str, Any], bool]] = [
        ({"content": LARGE}, True),
        ({"content": LARGE | {"n": 1}}, False),
        ({"content": {str(n): f"{n} is new" for n in range(100)}}, True),
        ({"content": LARGE}, True),
        ({"content": LARGE, "title": "A"}, True),
        ({"content": LARGE | {"n": 2}}, False),
        ({"content": LARGE | {"n": 3}, "mime_type": "application/geo+json"}, True),
        ({"content": LARGE | {"n": 4}, "on_conflict": "reject"}, True),
        ({"content": LARGE | {"n": 4}}, False),
        ({"text": "x" * 1000}, True),
        ({"text": "x" * 1000 + "y"}, True),
        ({"blob": "eHl6"}, True),
        ({"content": LARGE}, True),
        ({"content": LARGE | {"n": 5}}, False),
    ]
    written = [await rest.call("resources/write", uri=f"{tree}a", **change) for change, _ in changes]
    await followed.count(len(changes))
    assert whole(followed.events) == [is_whole for _, is_whole in changes]
    for event, answer in zip(followed.events, written, strict=True):
        assert "patch" in event["data"] or event["data"] == answer.result


async def test_a_delta_tells_how_a_conflict_was_settled(rest: Rest, socket: Socket, tree: str) -> None:
    followed = await socket.subscribe(f"{tree}*", options=DELTA)
    replica = Replica()
    written = [
        await rest.call("resources/write", uri=f"{tree}a", content=LARGE | changed, **based)
        for changed, based in (
            ({}, {}),
            ({"n": 1}, {}),
            ({"m": 1}, {"base_version": 1, "on_conflict": "merge"}),
            ({"n": 1, "m": 2}, {}),
        )
    ]
    await followed.count(4)
    assert whole(followed.events) == [True, False, False, False]
    assert [event["data"].get("resolution") for event in followed.events] == [None, None, "merge", None]
    for event, answer in zip(followed.events, written, strict=True):
        replica.take(event)
        assert told(replica.versions[event["subject"], event["version"]]) == told(answer.result)


async def test_a_resource_that_is_created_again_begins_whole(rest: Rest, socket: Socket, tree: str) -> None:
    followed = await socket.subscribe(f"{tree}*", options=DELTA)
    for content in (LARGE, LARGE | {"n": 1}):
        await rest.call("resources/write", uri=f"{tree}a", content=content)
    await rest.call("resources/delete", uri=f"{tree}a")
    for content in (LARGE | {"n": 2}, LARGE | {"n": 3}):
        await rest.call("resources/write", uri=f"{tree}a", content=content)
    await followed.count(5)
    assert whole(followed.events) == [True, False, True, True, False]
    assert followed.events[4]["data"]["base_version"] == 4


@pytest.mark.parametrize("start", ["now", "earliest"])
async def test_a_base_of_a_kind_that_is_not_followed_was_not_sent(
    rest: Rest, socket: Socket, tree: str, start: str
) -> None:
    if start == "now":
        followed = await socket.subscribe(f"{tree}*", events=["updated"], options=DELTA)
    for n in range(4):
        await rest.call("resources/write", uri=f"{tree}a", content=LARGE | {"n": n})
    if start == "earliest":
        followed = await socket.subscribe(f"{tree}*", events=["updated"], options=DELTA, start=start)
    await followed.count(3)
    assert [event["version"] for event in followed.events] == [2, 3, 4]
    assert whole(followed.events) == [True, False, False]


async def test_who_does_not_ask_for_deltas_gets_none(rest: Rest, socket: Socket, tree: str) -> None:
    deltas = await socket.subscribe(f"{tree}*", options=DELTA)
    plain = await socket.subscribe(f"{tree}*")
    bare = await socket.subscribe(f"{tree}*", options=DELTA | {"include_content": False})
    written = [await rest.call("resources/write", uri=f"{tree}a", content=LARGE | {"n": n}) for n in range(3)]
    for followed in (deltas, plain, bare):
        await followed.count(3)
    assert whole(deltas.events) == [True, False, False]
    assert [event["data"] for event in plain.events] == [answer.result for answer in written]
    assert all("content" not in event["data"] and "patch" not in event["data"] for event in bare.events)


async def test_every_poll_stands_for_itself(rest: Rest, tree: str) -> None:
    subscription = (await rest.call("subscriptions/create", uri=f"{tree}*", options=DELTA))["id"]
    for n in range(4):
        await rest.call("resources/write", uri=f"{tree}a", content=LARGE | {"n": n})
    first = await rest.call("events/poll", subscription=subscription, limit=2, timeout_ms=5000)
    second = await rest.call("events/poll", subscription=subscription, after=first["offset"], timeout_ms=5000)
    assert [event["version"] for event in (*first["events"], *second["events"])] == [1, 2, 3, 4]
    assert whole(first["events"])[0] and whole(second["events"])[0]
    for answer in (first, second):
        replica = Replica()
        for event in answer["events"]:
            replica.take(event)
            assert replica.versions[event["subject"], event["version"]]["content"]["n"] == event["version"] - 1
