"""Many clients that are cut at once and come back at once are all there again soon, and miss nothing (quality 11).

`python -m benchmarks storm` is the same with 2,000 of them.
"""

import asyncio
from functools import partial

from tests.acceptance.test_slow_readers import metric
from tests.stack.cluster import Cluster
from tests.stack.load import Pursuer

CLIENTS = 100
AT_ONCE = 25
MISSED = 100
BACK_SECONDS = 30.0


async def test_all_are_back_in_time_and_share_what_is_read_of_the_log(stack: Cluster) -> None:
    tree = stack.tree()
    start = stack.truth.head()
    clients = [Pursuer(partial(stack.socket, "bob"), f"{tree}*") for _ in range(CLIENTS)]
    async with stack.rest("alice") as alice:

        async def write(count: int) -> int:
            operations = [
                {"method": "resources/write", "params": {"uri": f"{tree}{n % 7}", "content": n}} for n in range(count)
            ]
            written = await alice.call("resources/batch", operations=operations)
            return max(int(result["offset"]) for result in written["results"])

        for first in range(0, CLIENTS, AT_ONCE):
            await asyncio.gather(*(client.start(start) for client in clients[first : first + AT_ONCE]))
        seen = await write(10)
        for client in clients:
            await client.followed.reach(seen, within=30)
        cut = asyncio.gather(*(client.again(away=1.0) for client in clients))
        last = await write(MISSED)
        loads = await metric(stack, "erlmcp_replay_loads_total")
        async with asyncio.timeout(BACK_SECONDS):
            await cut
            for client in clients:
                await client.followed.reach(last, within=BACK_SECONDS)
        last = await write(10)
    for client in clients:
        await client.followed.reach(last, within=30)
    logged = stack.truth.log(tree, start)
    for client in clients:
        client.checker.covers(logged)
    await asyncio.gather(*(client.close() for client in clients))
    loads = await metric(stack, "erlmcp_replay_loads_total") - loads
    # each for itself, they would need two at least
    assert loads <= CLIENTS / 2, f"{loads} reads of the log"
