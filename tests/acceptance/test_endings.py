"""Nodes that end: by `kill -9` under load (quality 7), and as an operator ends them (contract §5)."""

import asyncio
import random
from functools import partial

from tests.stack.cluster import Cluster
from tests.stack.creations import Creators
from tests.stack.load import Pursuer
from tests.stack.waiting import eventually

KILLS = 5


async def test_what_was_answered_survives_kills_exactly_once(own_node: Cluster, dice: random.Random) -> None:
    """At random moments; tests/resources/test_killed_writers.py and tests/audit/test_mover.py choose theirs."""
    tree = own_node.tree()
    node = own_node.nodes[0]
    pursuer = Pursuer(partial(own_node.socket, "bob"), f"{tree}*")
    await pursuer.start(own_node.truth.head())
    pursuing = asyncio.create_task(pursuer.follow_on())
    creators = Creators(own_node, tree, 3)
    for number in range(KILLS):
        await creators.more_answers(within=40)
        await asyncio.sleep(dice.random())
        if number == KILLS // 2:
            node.kill_part("worker")
        node.kill_part("web")
        await eventually(lambda: bool(node.web_processes()), 30, "the node starts another web process")
    await creators.more_answers(within=40)
    await creators.stop()
    assert creators.refused == set()
    assert any(writer.unknown for writer in creators.writers), "no kill hit a write under way"
    logged = creators.check()
    await eventually(lambda: pursuer.checker.offset >= logged[-1][0], 30, "the follower has the last event")
    pursuing.cancel()
    pursuer.checker.covers(logged)
    await pursuer.close()
    await creators.check_moved(within=30)


async def test_a_socket_is_told_before_its_node_goes(own_node: Cluster) -> None:
    """Drain: the notice, then close code 1012, and the node ends by itself."""
    node = own_node.nodes[0]
    sockets = [await own_node.socket("bob") for _ in range(20)]
    stopping = asyncio.create_task(asyncio.to_thread(node.stop))
    notices = await asyncio.gather(*(socket.notice("drain") for socket in sockets))
    assert all(0 <= notice["retry_ms"] <= 60_000 for notice in notices)
    assert await asyncio.gather(*(socket.end(within=30) for socket in sockets)) == [1012] * 20
    assert await stopping == 0
