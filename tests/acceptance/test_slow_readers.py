"""One reader that stops costs the others nothing, and itself the connection (quality 10), over each transport."""

import asyncio
import socket as sockets
import time
from functools import partial

import psutil
import pytest

from tests.stack.cluster import Cluster
from tests.stack.grpc_client import Grpc
from tests.stack.load import Pursuer
from tests.stack.stopped import stopped_event_stream, stopped_socket
from tests.stack.waiting import eventually

MEBIBYTE = 2**20
SMALL_WINDOW = [("grpc.http2.bdp_probe", 0)]

CLOSED_SECONDS = 15


@pytest.mark.parametrize("transport", ["websocket", "sse", "grpc"])
async def test_a_reader_that_stops_is_closed_and_nobody_else_notices(stack: Cluster, transport: str) -> None:
    tree = stack.tree()
    start = stack.truth.head()
    node = stack.nodes[0]
    (web,) = node.web_processes()
    others = [Pursuer(partial(stack.socket, "bob"), f"{tree}*") for _ in range(10)]
    for other in others:
        await other.start(start)
    # those of other tests have left, or are about to
    followers = len(others)
    await followers_are(stack, followers)
    token = stack.token("bob")

    async with stack.rest("alice") as alice, Grpc(node.grpc_address, token, options=SMALL_WINDOW) as channel:
        big = "x" * 200_000

        async def write(count: int) -> int:
            for n in range(count):
                written = await alice.call("resources/write", uri=f"{tree}{n % 5}", text=big)
            offset: int = written["offset"]
            return offset

        stopped: list[sockets.socket] = []
        if transport == "websocket":
            stopped.append(await stopped_socket(node.port, token, f"{tree}*", start))
        elif transport == "sse":
            stopped.append(await stopped_event_stream(node.port, token, f"{tree}*", start))
        else:
            call = channel.follow(uri=f"{tree}*", start=start).call
            await call.read()
        await followers_are(stack, followers + 1)
        await others[0].followed.reach(await write(20))
        before = memory(web)
        last = await write(100)
        for other in others:
            await other.followed.reach(last, within=30)
        grown = memory(web) - before
        writing = asyncio.create_task(write(40))
        began = time.monotonic()
        await followers_are(stack, followers)
        took = time.monotonic() - began
        last = await writing
    logged = stack.truth.log(tree, start)
    for other in others:
        await other.followed.reach(last, within=30)
        other.checker.covers(logged)
        await other.close()
    for raw in stopped:
        raw.close()
    assert took <= CLOSED_SECONDS
    assert grown <= 10 * MEBIBYTE, f"{grown / MEBIBYTE:.1f} MiB more"


def memory(process: psutil.Process) -> int:
    size: int = process.memory_full_info().uss
    return size


async def metric(cluster: Cluster, name: str) -> float:
    async with cluster.rest() as rest:
        text = (await rest.http.get("/metrics")).text
    (line,) = [line for line in text.splitlines() if line.startswith(f"{name} ")]
    return float(line.split()[1])


async def followers_are(cluster: Cluster, count: float) -> None:
    async def reached() -> bool:
        return await metric(cluster, "erlmcp_followers") == count

    await eventually(reached, 60, f"{count} followers")
