"""Every follower gets every change, in order and without a gap, whatever its connection does (quality 1, 2, 3, 5)."""

import asyncio
import contextlib
import random
from collections.abc import Iterator
from functools import partial

from tests.stack.answers import Refused
from tests.stack.cluster import Cluster
from tests.stack.load import Call, Pursuer, Writer
from tests.stack.sse import follow
from tests.stack.waiting import eventually


def writes(tree: str, dice: random.Random, count: int, uris: int) -> Iterator[Call]:
    """Random changes: mostly writes, some patches and deletions, some batches."""
    for n in range(count):
        uri = f"{tree}{dice.randrange(uris)}"
        kind = dice.random()
        if kind < 0.9:
            yield "resources/write", {"uri": uri, "content": {"n": n}}
        elif kind < 0.95:
            yield "resources/delete", {"uri": uri}
        else:
            yield "resources/patch", {"uri": uri, "patch": {"patched": n}}


def contiguous(offsets: list[int]) -> bool:
    return offsets == list(range(offsets[0], offsets[0] + len(offsets)))


async def test_many_writers_and_many_followers_on_two_nodes(pair: Cluster, dice: random.Random) -> None:
    """4 writers, 20 followers, 100 URIs, 10,000 changes."""
    tree = pair.tree()
    start = pair.truth.head()
    followers = []
    for n in range(20):
        pursuer = Pursuer(partial(pair.socket, "bob", n % 2), f"{tree}*")
        await pursuer.start(start)
        followers.append(pursuer)
    writers = [Writer(partial(pair.socket, "alice", n % 2)) for n in range(4)]
    await asyncio.gather(*(writer.run(writes(tree, dice, 2500, 100)) for writer in writers))
    logged = pair.truth.log(tree, start)
    assert sum(len(writer.answered) for writer in writers) == len(logged)
    assert {refused.code for writer in writers for _, refused in writer.refused} <= {"resource_not_found"}
    for pursuer in followers:
        await pursuer.followed.reach(logged[-1][0], within=60)
        pursuer.checker.covers(logged)
        assert pursuer.checker.state() == pair.truth.versions(tree)
        await pursuer.close()
    assert contiguous(pair.truth.offsets())


async def test_random_disconnects_lose_nothing(stack: Cluster, dice: random.Random) -> None:
    """8 followers cut their connections 160 times in all, while a writer goes on."""
    tree = stack.tree()
    start = stack.truth.head()
    nodes = len(stack.nodes)

    async def cut_and_resume(pursuer: Pursuer) -> None:
        for _ in range(20):
            await asyncio.sleep(dice.random() * 0.25)
            await pursuer.again()

    pursuers = [Pursuer(partial(stack.socket, "bob", n % nodes), f"{tree}*") for n in range(8)]
    for pursuer in pursuers:
        await pursuer.start(start)
    writer = Writer(partial(stack.socket, "alice"), window=4)
    writing = asyncio.create_task(writer.run(writes(tree, dice, 1_000_000, 30)))
    await asyncio.gather(*(cut_and_resume(pursuer) for pursuer in pursuers))
    writer.stop()
    await writing
    logged = stack.truth.log(tree, start)
    for pursuer in pursuers:
        await pursuer.followed.reach(logged[-1][0], within=60)
        assert pursuer.connections == 21
        pursuer.checker.covers(logged)
        assert pursuer.checker.state() == stack.truth.versions(tree)
        await pursuer.close()


async def test_five_hundred_disconnects_of_up_to_ten_seconds_lose_nothing(pair: Cluster, dice: random.Random) -> None:
    """250 followers are away twice each, while somebody writes at a steady pace."""
    tree = pair.tree()
    start = pair.truth.head()
    pursuers = [Pursuer(partial(pair.socket, "bob", n % 2), f"{tree}*") for n in range(250)]
    for pursuer in pursuers:
        await pursuer.start(start)
    done = asyncio.Event()

    async def write() -> None:
        async with await pair.socket("alice") as socket:
            for method, params in writes(tree, dice, 1_000_000, 30):
                with contextlib.suppress(Refused):
                    await socket.call(method, **params)
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(done.wait(), dice.random() / 10)
                if done.is_set():
                    return

    async def leave_twice(pursuer: Pursuer) -> None:
        for _ in range(2):
            await pursuer.again(away=dice.random() * 10)

    writing = asyncio.create_task(write())
    await asyncio.gather(*(leave_twice(pursuer) for pursuer in pursuers))
    done.set()
    await writing
    logged = pair.truth.log(tree, start)
    assert sum(pursuer.connections - 1 for pursuer in pursuers) == 500
    versions = pair.truth.versions(tree)
    for pursuer in pursuers:
        await pursuer.followed.reach(logged[-1][0], within=60)
        pursuer.checker.covers(logged)
        assert pursuer.checker.state() == versions
        await pursuer.close()


async def test_subscribing_while_others_write_leaves_no_seam(stack: Cluster, dice: random.Random) -> None:
    """200 rounds: what is replayed and what comes live join without a gap and without a repetition."""
    tree = stack.tree()
    writer = Writer(partial(stack.socket, "alice"), window=8)
    writing = asyncio.create_task(writer.run(writes(tree, dice, 1_000_000, 5)))
    await eventually(lambda: len(writer.answered) > 60, 30, "60 changes")
    rounds: list[tuple[int, list[int]]] = []
    node = len(stack.nodes) - 1
    async with await stack.socket("bob", node) as socket:
        for number in range(200):
            if number % 2:
                known = dice.choice(writer.answered[-50:])[1]["offset"]
                followed = await socket.subscribe(f"{tree}*", start=known)
            else:
                followed = await socket.subscribe(f"{tree}*")
                known = followed.start
            await followed.count(dice.randrange(1, 20), within=60)
            await socket.call("resources/unsubscribe", subscription=followed.id)
            followed.checker.sound()
            rounds.append((known, [event["offset"] for event in followed.events]))
    writer.stop()
    await writing
    logged = [offset for offset, _, _ in stack.truth.log(tree)]
    for known, got in rounds:
        assert got == [offset for offset in logged if known < offset <= got[-1]]


async def test_refused_changes_leave_no_event_and_no_hole(stack: Cluster) -> None:
    """1,000 batches that fail at their last operation, among changes that do not."""
    tree = stack.tree()
    async with await stack.socket("alice") as socket:
        await socket.call("resources/create", uri=f"{tree}there", content=1)
        followed = await socket.subscribe(f"{tree}*")
        start = followed.start
        failing = {
            "operations": [
                {"method": "resources/write", "params": {"uri": f"{tree}new", "content": 1}},
                {"method": "resources/create", "params": {"uri": f"{tree}there", "content": 1}},
            ]
        }

        def calls() -> Iterator[Call]:
            for n in range(1000):
                yield "resources/batch", failing
                if n % 100 == 0:
                    yield "resources/write", {"uri": f"{tree}good", "content": n}

        writer = Writer(partial(stack.socket, "alice"))
        await writer.run(calls())
        assert (len(writer.refused), len(writer.answered)) == (1000, 10)
        await followed.reach(writer.last_offset)
        followed.checker.covers(stack.truth.log(tree, start))
        assert [event["version"] for event in followed.events] == list(range(1, 11))
        assert contiguous([event["offset"] for event in followed.events])
        assert contiguous(stack.truth.offsets())
        assert f"{tree}new" not in stack.truth.versions(tree)


async def test_a_follower_of_each_transport_gets_the_same(stack: Cluster, dice: random.Random) -> None:
    """WebSocket, server-sent events and long poll side by side."""
    tree = stack.tree()
    node = len(stack.nodes) - 1
    async with stack.rest("alice", node) as rest, await stack.socket("alice", node) as socket:
        subscription = await rest.call("subscriptions/create", uri=f"{tree}*")
        followed = await socket.subscribe(f"{tree}*", start=subscription["offset"])
        async with follow(rest, {"Last-Event-ID": str(subscription["offset"])}, uri=f"{tree}*") as stream:
            writer = Writer(partial(stack.socket, "alice"))
            await writer.run(writes(tree, dice, 300, 10))
            logged = stack.truth.log(tree, subscription["offset"])
            polled: list[dict] = []
            after = subscription["offset"]
            while after < logged[-1][0]:
                answer = await rest.call("events/poll", subscription=subscription["id"], after=after, timeout_ms=2000)
                polled += answer["events"]
                after = answer["offset"]
            await stream.count(len(logged))
            await followed.count(len(logged))
            followed.checker.covers(logged)
            assert stream.events == polled == followed.events
