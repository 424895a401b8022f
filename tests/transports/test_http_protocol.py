"""Peers that send slowly, stop in the middle, or do not read what they asked for are cut; others notice nothing."""

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator
from typing import Any

import pytest
import uvicorn

from erlmcp_site.serving import http_protocol
from erlmcp_site.serving.http_protocol import HttpProtocol
from tests.stack.waiting import eventually

LARGE = 16 * 2**20


async def application(scope: Any, receive: Any, send: Any) -> None:
    """Tells how long the body was; a GET gets a large answer."""
    size = 0
    while scope["method"] == "POST":
        message = await receive()
        if message["type"] == "http.disconnect":
            return
        size += len(message["body"])
        if not message["more_body"]:
            break
    body = b"x" * LARGE if scope["method"] == "GET" else b"%d bytes" % size
    headers = [(b"content-length", b"%d" % len(body))]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": body})


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """For tests of what is cut; who is not may be as slow as this machine."""
    for name in ("HEAD_SECONDS", "BODY_SECONDS", "UNREAD_SECONDS"):
        monkeypatch.setattr(http_protocol, name, 0.2)


@pytest.fixture
async def server() -> AsyncIterator[uvicorn.Server]:
    listener = socket.create_server(("127.0.0.1", 0))
    config = uvicorn.Config(application, http=HttpProtocol, lifespan="off", log_config=None, timeout_keep_alive=60)
    server = uvicorn.Server(config)
    server.capture_signals = contextlib.nullcontext  # type: ignore[method-assign,assignment]  # pytest keeps its signals
    running = asyncio.create_task(server.serve(sockets=[listener]))
    await eventually(lambda: server.started, 30, "the server starts")
    yield server
    server.should_exit = server.force_exit = True
    await running


async def connect(server: uvicorn.Server) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    return await asyncio.open_connection("127.0.0.1", server.servers[0].sockets[0].getsockname()[1])


async def said(reader: asyncio.StreamReader) -> bytes:
    """Everything until the server closes."""
    return await asyncio.wait_for(reader.read(), 30)


@pytest.mark.parametrize(
    "begun",
    [
        b"",
        b"GET / HT",
        b"GET / HTTP/1.1\r\nHost: a\r\nX-",
        b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 100\r\n\r\nx",
        b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nab",
        b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 100\r\n\r\n",
    ],
)
@pytest.mark.usefixtures("impatient")
async def test_a_request_that_is_not_finished_is_cut(server: uvicorn.Server, begun: bytes) -> None:
    reader, writer = await connect(server)
    writer.write(begun)
    assert (await said(reader)).startswith(b"HTTP/1.1 408 ")
    await eventually(lambda: not server.server_state.tasks, 30, "nothing waits for it any more")
    writer.close()


async def test_a_body_that_comes_slowly_and_steadily_is_read(
    server: uvicorn.Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(http_protocol, "BODY_SECONDS", 0.2)
    monkeypatch.setattr(http_protocol, "BODY_BYTES_PER_SECOND", 1)
    reader, writer = await connect(server)
    writer.write(b"POST / HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Length: 80\r\n\r\n" + b"x" * 60)
    for _ in range(20):
        # it is slow on purpose: each byte earns a second
        await asyncio.sleep(0.02)
        writer.write(b"x")
    assert b"80 bytes" in await said(reader)
    writer.close()


async def test_many_requests_of_one_connection_are_answered(server: uvicorn.Server) -> None:
    reader, writer = await connect(server)
    for number in range(20):
        writer.write(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc")
        assert (await asyncio.wait_for(reader.readuntil(b"3 bytes"), 30)).startswith(b"HTTP/1.1 200"), number
    writer.close()


@pytest.mark.usefixtures("impatient")
async def test_who_does_not_read_the_answer_is_cut(server: uvicorn.Server) -> None:
    narrow = socket.socket()
    narrow.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    narrow.setblocking(False)
    loop = asyncio.get_running_loop()
    await loop.sock_connect(narrow, server.servers[0].sockets[0].getsockname())
    await loop.sock_sendall(narrow, b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
    await eventually(lambda: bool(server.server_state.connections), 30, "the request is there")
    await eventually(lambda: not server.server_state.connections, 30, "it is cut")
    narrow.close()


async def test_who_reads_slowly_gets_all_of_it(server: uvicorn.Server) -> None:
    reader, writer = await connect(server)
    writer.write(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
    head = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 30)
    assert f"content-length: {LARGE}".encode() in head
    assert len(await asyncio.wait_for(reader.readexactly(LARGE), 30)) == LARGE
    writer.close()
