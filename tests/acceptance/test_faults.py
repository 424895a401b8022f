"""Parts that fail or stall while two nodes are at work (quality 6, 8, 9)."""

import asyncio
import random
import signal
import time
from datetime import datetime
from functools import partial
from pathlib import Path

from tests.scenarios.turn import keep_the_turn
from tests.stack.answers import Answer
from tests.stack.cluster import Cluster
from tests.stack.creations import Creators
from tests.stack.gateway import Gateway
from tests.stack.load import Pursuer
from tests.stack.missing import missing
from tests.stack.redis_server import RedisServer
from tests.stack.refusals import refuses
from tests.stack.scraping import metric
from tests.stack.waiting import PATIENCE, Late, eventually, in_time

HUNG_SECONDS = 8
CATCH_UP_SECONDS = 5
HEALED_SECONDS = 2
ONE_POLL_SECONDS = 1.5
FAKETIME = next(Path("/usr/lib").glob("*/faketime/libfaketimeMT.so.1"), None)


async def test_redis_dies_ten_times_and_nobody_loses_anything(
    own_pair: Cluster, mortal_redis: RedisServer, dice: random.Random
) -> None:
    """Writes go on without it, followers are at most five seconds behind once it is back, and so is the broker."""
    tree = own_pair.tree()
    pursuers = [Pursuer(partial(own_pair.socket, "bob", n % 2), f"{tree}*") for n in range(4)]
    for pursuer in pursuers:
        await pursuer.start(own_pair.truth.head())
    creators, lags = Creators(own_pair, tree, 2, window=4), []
    for _ in range(10):
        await asyncio.sleep(dice.random() / 2)
        mortal_redis.kill()
        await creators.more_answers(within=30)
        async with own_pair.rest(token=own_pair.login("alice")["access"]) as newcomer:
            assert (await newcomer.call("resources/list", prefix=tree)).status == 200
        mortal_redis.start_again()
        back, last = time.monotonic(), creators.last_offset
        for pursuer in pursuers:
            await pursuer.followed.reach(last)
        lags.append(time.monotonic() - back)
    await creators.stop()
    assert max(lags) <= CATCH_UP_SECONDS, lags
    assert creators.refused == set()
    logged = creators.check()
    for pursuer in pursuers:
        await pursuer.followed.reach(logged[-1][0], within=30)
        assert pursuer.connections == 1
        pursuer.checker.covers(logged)
        await pursuer.close()
    await creators.check_moved(within=60)


async def test_a_redis_that_hangs_holds_work_up_once(own_pair: Cluster, mortal_redis: RedisServer) -> None:
    """It takes connections and never answers; after its timeouts have run out it is left alone."""
    tree = own_pair.tree()
    async with (
        await own_pair.socket("alice", 0) as writer,
        await own_pair.socket("bob", 1) as reader,
        own_pair.rest(node=0) as operator,
    ):
        followed = await reader.subscribe(f"{tree}*")

        async def is_well() -> bool:
            await writer.call("resources/write", uri=f"{tree}0", content=0)
            return await metric(operator, "erlmcp_breaker_open", part="positions") == 0

        async def hang() -> float:
            await eventually(is_well, PATIENCE, "the node has forgotten what was done to Redis before")
            mortal_redis.process.send(signal.SIGSTOP)
            started = time.monotonic()
            for n in range(20):
                uri = f"{tree}{n}"
                written = await writer.call("resources/write", uri=uri, content=n)
                read = await reader.call("resources/read", uri=uri, consistency="causal", after=written["offset"])
                assert read["content"] == n
            took = time.monotonic() - started
            mortal_redis.process.send(signal.SIGCONT)
            await followed.reach(written["offset"])
            return took

        await in_time(hang, HUNG_SECONDS, "twenty changes and reads")
        followed.checker.covers(own_pair.truth.log(tree, followed.start))


async def test_a_broker_that_is_away_delays_the_trail_and_nothing_else(
    own_pair: Cluster, mortal_redis: RedisServer
) -> None:
    """Entries wait in the outbox, and are moved once it is back; what it is says so once, and without a traceback."""
    tree = own_pair.tree()
    said = len(own_pair.nodes[0].output)
    mortal_redis.kill()
    creators = Creators(own_pair, tree, 2)
    for _ in range(3):
        await creators.more_answers(within=30)
    await creators.stop()
    assert creators.refused == set()
    creators.check()

    def beat_said(what: str) -> int:
        return own_pair.nodes[0].output[said:].count(f"the broker is {what}")

    await eventually(lambda: beat_said("not available"), 30, "beat says that the broker is away")
    # a mover that was at work when the broker went works on while it finds entries, so how many wait is not certain
    mortal_redis.start_again()
    await creators.check_moved(within=60)
    # once each time that it goes away, however many ticks are left out; as it comes back it may go away again
    await eventually(
        lambda: 1 <= beat_said("not available") == beat_said("available again"), PATIENCE, "beat says that it is back"
    )
    assert beat_said("available again") <= 2
    assert "celery.beat" not in own_pair.nodes[0].output[said:]


async def test_a_ring_that_never_comes_delays_and_loses_nothing(own_pair: Cluster, mortal_redis: RedisServer) -> None:
    """Without the Redis that carries the rings, each node has to look by itself."""
    tree = own_pair.tree()
    async with await own_pair.socket("alice", 0) as writer, await own_pair.socket("bob", 1) as reader:
        followed = await reader.subscribe(f"{tree}*")
        mortal_redis.kill()

        async def write_and_follow() -> float:
            lags = []
            for n in range(5):
                written = await writer.call("resources/write", uri=f"{tree}{n}", content=n)
                answered = time.monotonic()
                await followed.reach(written["offset"])
                lags.append(time.monotonic() - answered)
            return max(lags)

        await in_time(write_and_follow, HEALED_SECONDS, "each node looks by itself")
        mortal_redis.start_again()
        followed.checker.covers(own_pair.truth.log(tree, followed.start))


async def test_who_could_not_begin_to_follow_in_time_can_do_so_later(
    own_pair: Cluster, mortal_redis: RedisServer
) -> None:
    """Redis stands still while the other nodes are to be told of a follower; the one that was given up is gone."""
    tree = own_pair.tree()
    async with own_pair.rest("alice") as rest, await own_pair.socket("alice") as socket:
        made = await rest.call("subscriptions/create", uri=f"{tree}*")

        async def shares_positions() -> bool:
            return await metric(rest, "erlmcp_breaker_open", part="positions") == 0

        await eventually(shares_positions, 30, "Redis is back from what was done to it before")
        mortal_redis.process.send(signal.SIGSTOP)
        try:
            with refuses("deadline_exceeded"):
                await socket.call("resources/subscribe", subscription=made["id"], request_timeout=0.3)
        finally:
            mortal_redis.process.send(signal.SIGCONT)
        await socket.subscribe_again(made["id"])


async def test_a_clock_that_is_stepped_changes_no_order(own_pair: Cluster, tmp_path: Path) -> None:
    """The clock of a third node goes five seconds ahead, then five behind, while it and another one write in turn."""
    if FAKETIME is None:
        missing("a clock is stepped with Debian's package faketime")
    tree = own_pair.tree()
    clock = tmp_path / "clock"
    clock.write_text("+0")
    only_this = {"FAKETIME_DONT_FAKE_MONOTONIC": "1", "FAKETIME_CACHE_DURATION": "1"}
    own_pair.add_node(LD_PRELOAD=str(FAKETIME), FAKETIME_TIMESTAMP_FILE=str(clock), **only_this)
    async with (
        await own_pair.socket("alice", 0) as steady,
        await own_pair.socket("alice", 2) as stepped,
        await own_pair.socket("bob", 1) as reader,
        await own_pair.socket("bob", 2) as reader_of_stepped,
    ):
        followed = [await socket.subscribe(f"{tree}*") for socket in (reader, reader_of_stepped)]
        written: list[Answer] = []

        async def write_in_turn() -> float:
            """Seconds by which the stepped clock is ahead."""
            for socket in (steady, stepped):
                written.append(await socket.call("resources/write", uri=f"{tree}a", content=len(written)))
            earlier, later = (datetime.fromisoformat(answer["updated_at"]) for answer in written[-2:])
            return (later - earlier).total_seconds()

        for step in (5, -5):
            clock.write_text(f"{step:+d}")
            while abs(await write_in_turn() - step) > 1:
                assert len(written) < 10_000, "the clock was not stepped"
            for _ in range(20):
                await write_in_turn()
        offsets = [answer["offset"] for answer in written]
        assert offsets == sorted(offsets)
        assert [answer["version"] for answer in written] == list(range(1, len(written) + 1))
        for one in followed:
            await one.reach(offsets[-1])
            one.checker.covers(own_pair.truth.log(tree, one.start))
    own_pair.nodes.pop().kill()


async def test_a_transaction_that_took_its_turn_and_sleeps_keeps_its_place(pair: Cluster, haproxy: Gateway) -> None:
    await keep_the_turn(pair, haproxy)


async def test_a_resource_that_somebody_holds_does_not_stop_the_others(pair: Cluster) -> None:
    """Node 1 waits for a locked row; node 2 writes other resources meanwhile, because the turn is taken late."""
    tree = pair.tree()
    async with await pair.socket("alice", 0) as waits, await pair.socket("alice", 1) as goes_on:
        first = await waits.call("resources/write", uri=f"{tree}held", content=0)
        followed = await goes_on.subscribe(f"{tree}*", start=first["offset"])
        with pair.truth.main.transaction() as holder:
            holder.execute("SELECT version FROM resources_app_resource WHERE uri = %s FOR UPDATE", [f"{tree}held"])
            held = waits.start("resources/write", uri=f"{tree}held", content=1)
            for n in range(20):
                await goes_on.call("resources/write", uri=f"{tree}{n}", content=n)
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


async def test_without_a_ring_whoever_may_call_no_more_is_refused_after_one_poll(
    own_pair: Cluster, mortal_redis: RedisServer
) -> None:
    """What a node holds of tokens and sessions is as old as the control stream at most, also while nobody rings."""

    async def end() -> float:
        tokens = own_pair.login("alice")
        async with own_pair.rest(token=tokens["access"], node=1) as alice, own_pair.rest("admin") as admin:
            session = (await alice.call("resources/list")).headers["session-id"]
            mortal_redis.kill()

            async def answers(status: int) -> float:
                at = time.monotonic()

                async def does() -> bool:
                    return (await alice.request("GET", "resources")).status_code == status

                await eventually(does, PATIENCE, f"{status} on the other node")
                return time.monotonic() - at

            lags = [await answers(200)]
            await admin.call("sessions/suspend", session=session)
            lags.append(await answers(403))
            await admin.call("sessions/resume", session=session)
            lags.append(await answers(200))
            await admin.call("auth/revoke", refresh=tokens["refresh"])
            lags.append(await answers(401))
            mortal_redis.start_again()
            return max(lags)

    await in_time(end, ONE_POLL_SECONDS, "the other node has heard of it")
