"""Clients by hand that begin to follow, and then never read again."""

import asyncio
import base64
import os
import socket as sockets
from urllib.parse import urlencode


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
