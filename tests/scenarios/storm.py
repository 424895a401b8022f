"""Many clients that are cut at once come back at once, are all there again soon, and miss nothing (quality 11)."""

import asyncio
import time
from dataclasses import dataclass
from functools import partial

from tests.stack.cluster import Cluster
from tests.stack.door import Door
from tests.stack.load import Pursuer
from tests.stack.scraping import metric
from tests.stack.waiting import PATIENCE

AT_ONCE = 25
MISSED = 100
AWAY_SECONDS = 1.0
BACK_SECONDS = 30.0


@dataclass(frozen=True, kw_only=True)
class Storm:
    """How long until all were back and had everything, in seconds, and how often the log was read for them."""

    back_seconds: float
    loads: float


async def come_back(cluster: Cluster, door: Door, count: int) -> Storm:
    """So many followers are cut, stay away for a second while changes are made, and come back together."""
    tree, start, token = cluster.tree(), cluster.truth.head(), cluster.token("bob")
    clients = [Pursuer(partial(door.socket, token), f"{tree}*") for _ in range(count)]
    async with door.rest(cluster.token("alice")) as alice:

        async def write(changes: int) -> int:
            operations = [
                {"method": "resources/write", "params": {"uri": f"{tree}{n % 7}", "content": n}} for n in range(changes)
            ]
            written = await alice.call("resources/batch", operations=operations)
            return max(int(result["offset"]) for result in written["results"])

        for first in range(0, count, AT_ONCE):
            await asyncio.gather(*(client.start(start) for client in clients[first : first + AT_ONCE]))
        seen = await write(10)
        for client in clients:
            await client.followed.reach(seen, within=PATIENCE)
        before = await replay_loads(cluster)
        cut = asyncio.gather(*(client.again(away=AWAY_SECONDS) for client in clients))
        last = await write(MISSED)
        began = time.monotonic()
        await cut
        for client in clients:
            await client.followed.reach(last, within=PATIENCE)
        took = time.monotonic() - began
        last = await write(10)
    for client in clients:
        await client.followed.reach(last, within=PATIENCE)
    loads = await replay_loads(cluster) - before
    logged = cluster.truth.log(tree, start)
    for client in clients:
        client.checker.covers(logged)
    await asyncio.gather(*(client.close() for client in clients))
    return Storm(back_seconds=took, loads=loads)


async def replay_loads(cluster: Cluster) -> float:
    """How often the nodes have read the log for followers."""
    loads = 0.0
    for node in cluster.nodes:
        async with node.rest() as rest:
            loads += await metric(rest, "erlmcp_replay_loads_total")
    return loads
