"""Nodes that end: by `kill -9` under load (quality 7), and as an operator ends them (contract §5)."""

import asyncio
import random
from collections import Counter
from collections.abc import Iterator
from functools import partial

from tests.stack.cluster import Cluster
from tests.stack.database import Entry
from tests.stack.load import Call, Pursuer, Writer
from tests.stack.waiting import eventually

KILLS = 5


def creations(tree: str, writer: int) -> Iterator[Call]:
    """Every call creates a URI of its own, so that each can be counted."""
    for n in range(1_000_000):
        yield "resources/create", {"uri": f"{tree}{writer}/{n}", "content": {"n": n}}


def counted(entries: list[Entry]) -> Counter[str]:
    """How many entries tell of a creation, by URI."""
    return Counter(
        entry["resource_id"]
        for entry in entries
        if entry["action"] == "resources/create" and entry["outcome"] == "success"
    )


async def more_answers(writers: list[Writer]) -> None:
    """Wait until 50 more writes have been answered."""
    wanted = sum(len(writer.answered) for writer in writers) + 50
    await eventually(lambda: sum(len(writer.answered) for writer in writers) > wanted, 40, writers)


async def test_what_was_answered_survives_kills_exactly_once(own_node: Cluster, dice: random.Random) -> None:
    tree = own_node.tree()
    node = own_node.nodes[0]
    start = own_node.truth.head()
    pursuer = Pursuer(partial(own_node.socket, "bob"), f"{tree}*")
    await pursuer.start(start)
    pursuing = asyncio.create_task(pursuer.follow_on())
    writers = [Writer(partial(own_node.socket, "alice"), window=16) for _ in range(3)]
    writing = [asyncio.create_task(writer.run(creations(tree, n))) for n, writer in enumerate(writers)]
    for number in range(KILLS):
        await more_answers(writers)
        await asyncio.sleep(dice.random())
        if number == KILLS // 2:
            node.kill_workers()
        node.kill_web()
        await eventually(lambda: bool(node.web_processes()), 20, "the node starts another web process")
    await more_answers(writers)
    for writer in writers:
        writer.stop()
    await asyncio.gather(*writing)

    answered = {call[1]["uri"]: result for writer in writers for call, result in writer.answered}
    assert not [refused for writer in writers for refused in writer.refused]
    assert any(writer.unknown for writer in writers), "no kill hit a write under way"
    versions = own_node.truth.versions(tree)
    logged = own_node.truth.log(tree, start)
    at = {uri: offset for offset, uri, _ in logged}
    assert {uri: versions.get(uri) for uri in answered} == dict.fromkeys(answered, 1)
    assert {uri: at.get(uri) for uri in answered} == {uri: result["offset"] for uri, result in answered.items()}
    assert max(Counter(uri for _, uri, _ in logged).values()) == 1
    assert versions.keys() == at.keys(), "the table and the log differ"
    offsets = own_node.truth.offsets()
    assert offsets == list(range(offsets[0], offsets[0] + len(offsets)))
    assert counted(own_node.truth.entries(tree)) == dict.fromkeys(versions, 1), "the trail differs from the table"

    await eventually(lambda: pursuer.checker.offset >= logged[-1][0], 20, "the follower has the last event")
    pursuing.cancel()
    pursuer.checker.covers(logged)
    await pursuer.close()

    await eventually(lambda: own_node.truth.waiting_entries() == 0, 30, "the mover empties the outbox")
    assert counted(own_node.truth.moved_entries(tree)) == dict.fromkeys(versions, 1), (
        "the audit database differs from the table"
    )


async def test_a_socket_is_told_before_its_node_goes(own_node: Cluster) -> None:
    """Drain: the notice, then close code 1012, and the node ends by itself."""
    node = own_node.nodes[0]
    sockets = [await own_node.socket("bob") for _ in range(20)]
    stopping = asyncio.create_task(asyncio.to_thread(node.stop))
    notices = await asyncio.gather(*(socket.notice("drain", 5) for socket in sockets))
    assert all(0 <= notice["retry_ms"] <= 60_000 for notice in notices)
    assert await asyncio.gather(*(socket.end(within=10) for socket in sockets)) == [1012] * 20
    assert await stopping == 0
