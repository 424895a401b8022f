"""One reader that stops reading costs the others nothing, and itself the connection (quality 10)."""

import asyncio
import base64
import os
import socket as sockets
import time
from functools import partial

import psutil

from tests.stack.cluster import Cluster
from tests.stack.load import Pursuer
from tests.stack.waiting import eventually

MEBIBYTE = 2**20

CLOSED_SECONDS = 15
SLACK_SECONDS = 5
"""For how long this machine may stand still meanwhile."""


async def test_a_reader_that_stops_is_closed_and_nobody_else_notices(stack: Cluster) -> None:
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
    stopped = await stopped_reader(node.port, stack.token("bob"), f"{tree}*")
    await followers_are(stack, followers + 1)

    async with stack.rest("alice") as alice:
        big = "x" * 200_000

        async def write(count: int) -> int:
            for n in range(count):
                written = await alice.call("resources/write", uri=f"{tree}{n % 5}", text=big)
            offset: int = written["offset"]
            return offset

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
    stopped.close()
    assert took <= CLOSED_SECONDS + SLACK_SECONDS
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


async def stopped_reader(port: int, token: str, pattern: str) -> sockets.socket:
    """A WebSocket by hand that subscribes and then never reads again; its receive buffer is small."""
    raw = sockets.socket()
    raw.setsockopt(sockets.SOL_SOCKET, sockets.SO_RCVBUF, 8192)
    raw.setblocking(False)
    loop = asyncio.get_running_loop()
    await loop.sock_connect(raw, ("127.0.0.1", port))
    handshake = (
        f"GET /ws/v1 HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        f"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {base64.b64encode(os.urandom(16)).decode()}\r\n"
        f"Authorization: Bearer {token}\r\n\r\n"
    )
    await loop.sock_sendall(raw, handshake.encode())
    answer = await loop.sock_recv(raw, 4096)
    assert b" 101 " in answer, answer
    call = f'{{"jsonrpc":"2.0","id":1,"method":"resources/subscribe","params":{{"uri":"{pattern}"}}}}'.encode()
    mask = os.urandom(4)
    masked = bytes(byte ^ mask[i % 4] for i, byte in enumerate(call))
    await loop.sock_sendall(raw, bytes([0x81, 0x80 | len(call)]) + mask + masked)
    return raw
