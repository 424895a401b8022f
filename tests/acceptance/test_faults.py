"""Parts that fail or stall while two nodes are at work (quality 6, 8, 9)."""

import asyncio
import random
import signal
import time
from collections.abc import Iterator
from functools import partial

from tests.stack.cluster import Cluster
from tests.stack.load import Call, Pursuer, Writer
from tests.stack.redis_server import RedisServer
from tests.stack.refusals import refuses
from tests.stack.waiting import Late, eventually


def changes(tree: str) -> Iterator[Call]:
    for n in range(1_000_000):
        yield "resources/write", {"uri": f"{tree}{n % 20}", "content": n}


async def more_answers(writers: list[Writer], within: float) -> None:
    """Wait until every writer has 50 more answers."""
    wanted = [len(writer.answered) + 50 for writer in writers]

    def have() -> bool:
        return all(len(writer.answered) >= count for writer, count in zip(writers, wanted, strict=True))

    await eventually(have, within, writers)


async def test_redis_dies_three_times_and_nobody_loses_anything(
    own_pair: Cluster, mortal_redis: RedisServer, dice: random.Random
) -> None:
    """Writes go on without it, followers are at most five seconds behind once it is back."""
    tree = own_pair.tree()
    start = own_pair.truth.head()
    pursuers = [Pursuer(partial(own_pair.socket, "bob", n % 2), f"{tree}*") for n in range(4)]
    for pursuer in pursuers:
        await pursuer.start(start)
    writers = [Writer(partial(own_pair.socket, "alice", n), window=4) for n in range(2)]
    writing = [asyncio.create_task(writer.run(changes(tree))) for writer in writers]
    for _ in range(3):
        await asyncio.sleep(dice.random())
        mortal_redis.kill()
        await more_answers(writers, within=10)
        async with own_pair.rest(token=own_pair.login("alice")["access"]) as newcomer:
            assert (await newcomer.call("resources/list", prefix=tree)).status == 200
        mortal_redis.start_again()
        last = max(writer.last_offset for writer in writers)
        for pursuer in pursuers:
            await pursuer.followed.reach(last, within=5)
    for writer in writers:
        writer.stop()
    await asyncio.gather(*writing)
    assert not [refused for writer in writers for refused in writer.refused]
    logged = own_pair.truth.log(tree, start)
    for pursuer in pursuers:
        await pursuer.followed.reach(logged[-1][0], within=5)
        assert pursuer.connections == 1
        pursuer.checker.covers(logged)
        await pursuer.close()


async def test_a_ring_that_never_comes_delays_and_loses_nothing(own_pair: Cluster, mortal_redis: RedisServer) -> None:
    """Without the Redis that carries the rings, each node has to look by itself."""
    tree = own_pair.tree()
    async with await own_pair.socket("alice", 0) as writer, await own_pair.socket("bob", 1) as reader:
        followed = await reader.subscribe(f"{tree}*")
        mortal_redis.kill()
        for n in range(10):
            written = await writer.call("resources/write", uri=f"{tree}{n}", content=n)
            await followed.reach(written["offset"], within=2)
        mortal_redis.start_again()
        followed.checker.covers(own_pair.truth.log(tree, followed.start))


async def test_who_could_not_begin_to_follow_in_time_can_do_so_later(
    own_pair: Cluster, mortal_redis: RedisServer
) -> None:
    """Redis stands still while the other nodes are to be told of a follower; the one that was given up is gone."""
    tree = own_pair.tree()
    async with own_pair.rest("alice") as rest, await own_pair.socket("alice") as socket:
        made = await rest.call("subscriptions/create", uri=f"{tree}*")
        await socket.call("ping")
        mortal_redis.process.send(signal.SIGSTOP)
        try:
            with refuses("deadline_exceeded"):
                await socket.call("resources/subscribe", subscription=made["id"], request_timeout=0.3)
        finally:
            mortal_redis.process.send(signal.SIGCONT)
        await socket.subscribe_again(made["id"])


async def test_a_transaction_that_took_its_turn_and_sleeps_keeps_its_place(pair: Cluster) -> None:
    """Transaction A takes the next offset and sleeps; B commits later. Followers get A, then B."""
    tree = pair.tree()
    async with await pair.socket("alice", 0) as writer, await pair.socket("bob", 1) as reader:
        first = await writer.call("resources/write", uri=f"{tree}a", content="first")
        followed = await reader.subscribe(f"{tree}*", start=first["offset"])
        with pair.truth.main.transaction(commits=True) as a:
            a.execute("UPDATE resources_app_loghead SET head = head + 1 WHERE stream = 'changes' RETURNING head")
            row = a.fetchone()
            assert row is not None
            taken = row[0]
            a.execute(
                'INSERT INTO resources_app_event ("offset", uri, type, version, time, meta, kind, body)'
                " SELECT %s, uri, 'updated', version + 1, now(), meta, kind, body"
                ' FROM resources_app_event WHERE "offset" = %s',
                [taken, first["offset"]],
            )
            later = writer.start("resources/write", uri=f"{tree}b", content="later")
            await asyncio.wait([later], timeout=1.5)
            assert not later.done(), "B was answered before A had committed"
            assert followed.events == []
        assert (await later)["offset"] == taken + 1
        await followed.count(2)
        assert [(event["offset"], event["subject"]) for event in followed.events] == [
            (taken, f"{tree}a"),
            (taken + 1, f"{tree}b"),
        ]


async def test_a_resource_that_somebody_holds_does_not_stop_the_others(pair: Cluster) -> None:
    """Node 1 waits for a locked row; node 2 writes other resources meanwhile, because the turn is taken late."""
    tree = pair.tree()
    async with await pair.socket("alice", 0) as waits, await pair.socket("alice", 1) as goes_on:
        first = await waits.call("resources/write", uri=f"{tree}held", content=0)
        followed = await goes_on.subscribe(f"{tree}*", start=first["offset"])
        with pair.truth.main.transaction() as holder:
            holder.execute("SELECT version FROM resources_app_resource WHERE uri = %s FOR UPDATE", [f"{tree}held"])
            held = waits.start("resources/write", uri=f"{tree}held", content=1)
            started = time.monotonic()
            for n in range(20):
                await goes_on.call("resources/write", uri=f"{tree}{n}", content=n)
            assert time.monotonic() - started < 5
            assert not held.done()
        await held
        await followed.count(21)
        followed.checker.covers(pair.truth.log(tree, followed.start))
        assert followed.events[-1]["subject"] == f"{tree}held"


async def test_a_database_that_stands_still_holds_answers_back_and_loses_none(pair: Cluster) -> None:
    """While somebody holds the head of the log, nothing is answered and nothing is refused; then everything is."""
    tree = pair.tree()
    async with await pair.socket("alice", 0) as one, await pair.socket("alice", 1) as two:
        followed = await two.subscribe(f"{tree}*")
        with pair.truth.main.transaction() as holder:
            holder.execute("SELECT head FROM resources_app_loghead WHERE stream = 'changes' FOR UPDATE")
            waiting = [
                socket.start("resources/write", uri=f"{tree}{n % 7}", content=n)
                for n in range(50)
                for socket in (one, two)
            ]
            try:
                await followed.count(1, within=1)
            except Late:
                assert not any(answer.done() for answer in waiting)
            else:
                raise AssertionError("an event came that was not committed")
        offsets = [(await answer)["offset"] for answer in waiting]
        await followed.count(100)
        followed.checker.covers(pair.truth.log(tree, followed.start))
        assert sorted(offsets) == [event["offset"] for event in followed.events]
