"""Changes that depend on what was there before, from many clients at once (quality 13, 15)."""

import asyncio
import itertools
import random
import sys
import time

from tests.stack.answers import Refused
from tests.stack.cluster import Cluster
from tests.stack.node import ROOT
from tests.stack.processes import Process
from tests.stack.rest import Rest
from tests.stack.sockets import Socket

CLIENTS = 16
INCREMENTS = 100


async def test_compare_and_set_counts_exactly(stack: Cluster, dice: random.Random) -> None:
    """16 clients, half of them on REST and half on WebSocket, over all nodes.

    With 500 increments each it takes 22 s on SQLite and 75 s on two nodes; the count is exact then, too.
    """
    uri = f"{stack.tree()}counter"
    conflicts = 0

    async def count(client: Rest | Socket) -> None:
        nonlocal conflicts
        async with client:
            for _ in range(INCREMENTS):
                for tries in itertools.count(1):
                    counter = await client.call("resources/read", uri=uri)
                    try:
                        await client.call(
                            "resources/write", uri=uri, content=counter["content"] + 1, base_version=counter["version"]
                        )
                        break
                    except Refused as refused:
                        assert refused.code == "version_conflict", refused
                        conflicts += 1
                        # as clients do that want to get on
                        await asyncio.sleep(dice.random() * min(tries, 8) * 0.03)

    async with stack.rest("alice") as alice:
        await alice.call("resources/create", uri=uri, content=0, on_conflict="reject")
        nodes = len(stack.nodes)
        clients: list[Rest | Socket] = [stack.rest("alice", n % nodes) for n in range(CLIENTS // 2)]
        clients += [await stack.socket("alice", n % nodes) for n in range(CLIENTS // 2)]
        await asyncio.gather(*(count(client) for client in clients))
        after = await alice.call("resources/read", {"Read-Consistency": "strong"}, uri=uri)
    assert (after["content"], after["version"]) == (CLIENTS * INCREMENTS, CLIENTS * INCREMENTS + 1)
    assert conflicts, "nobody ever collided, so nothing was tried"


async def test_sqlite_is_never_locked(embedded: Cluster) -> None:
    """8 writers over the API beside two processes that write on their own, and the worker that moves the trail."""
    tree = embedded.tree()
    node = embedded.nodes[0]
    refused: list[Refused] = []
    until = time.monotonic() + 10

    async def write(number: int) -> int:
        client: Rest | Socket = embedded.rest("alice") if number % 2 else await embedded.socket("alice")
        done = 0
        async with client:
            while time.monotonic() < until:
                try:
                    await client.call("resources/write", uri=f"{tree}{number}", content=done)
                    await client.call("resources/read", uri=f"{tree}{number}")
                    done += 1
                except Refused as error:
                    refused.append(error)
        return done

    seen = len(node.output)
    demos = [
        Process(
            [sys.executable, "manage.py", "demo", "--rate", "50", "--seconds", "8"],
            folder=ROOT,
            environment=node.environment,
        )
        for _ in range(2)
    ]
    counts = await asyncio.gather(*(write(n) for n in range(8)))
    for demo in demos:
        assert await asyncio.to_thread(demo.wait, 120) == 0, demo.output
        assert "locked" not in demo.output
    assert refused == []
    assert min(counts) > 0
    assert embedded.truth.versions(tree) == {f"{tree}{n}": count for n, count in enumerate(counts)}
    assert "locked" not in node.output[seen:]
