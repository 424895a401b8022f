"""One reader that stops costs the others nothing, and itself the connection (quality 10), over each transport."""

import asyncio
import base64
import os
import socket as sockets
import time
from functools import partial
from urllib.parse import urlencode

import psutil
import pytest

from tests.stack.cluster import Cluster
from tests.stack.grpc_client import Grpc
from tests.stack.load import Pursuer
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


async def stopped_socket(port: int, token: str, pattern: str, start: int) -> sockets.socket:
    """A WebSocket by hand that subscribes and then never reads again."""
    raw = await connected(port)
    handshake = (
        f"GET /ws/v1 HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        f"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {base64.b64encode(os.urandom(16)).decode()}\r\n"
        f"Authorization: Bearer {token}\r\n\r\n"
    )
    await asyncio.get_running_loop().sock_sendall(raw, handshake.encode())
    await answered(raw, b" 101 ")
    params = f'{{"uri":"{pattern}","from":{start}}}'
    call = f'{{"jsonrpc":"2.0","id":1,"method":"resources/subscribe","params":{params}}}'.encode()
    mask = os.urandom(4)
    masked = bytes(byte ^ mask[i % 4] for i, byte in enumerate(call))
    head = bytes([0x81, 0x80 | 126]) + len(call).to_bytes(2, "big")
    await asyncio.get_running_loop().sock_sendall(raw, head + mask + masked)
    return raw


async def stopped_event_stream(port: int, token: str, pattern: str, start: int) -> sockets.socket:
    """The same over server-sent events."""
    raw = await connected(port)
    query = urlencode({"uri": pattern, "from": start})
    request = (
        f"GET /api/v1/events/stream?{query} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nAuthorization: Bearer {token}\r\n\r\n"
    )
    await asyncio.get_running_loop().sock_sendall(raw, request.encode())
    await answered(raw, b" 200 ")
    return raw


async def connected(port: int) -> sockets.socket:
    """A connection with a small buffer for what it receives."""
    raw = sockets.socket()
    raw.setsockopt(sockets.SOL_SOCKET, sockets.SO_RCVBUF, 8192)
    raw.setblocking(False)
    await asyncio.get_running_loop().sock_connect(raw, ("127.0.0.1", port))
    return raw


async def answered(raw: sockets.socket, status: bytes) -> None:
    answer = await asyncio.get_running_loop().sock_recv(raw, 256)
    assert status in answer, answer
