"""What stands on the wire is what uvicorn itself would have written, byte for byte."""

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator
from typing import Any

import uvicorn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from erlmcp_site.serving.http_protocol import HttpProtocol
from tests.stack.waiting import eventually

ANSWERS: dict[str, tuple[int, list[tuple[bytes, bytes]], list[bytes]]] = {
    "/plain": (200, [(b"Content-Type", b"text/plain"), (b"Content-Length", b"5")], [b"plain"]),
    "/parts": (206, [(b"content-length", b"8")], [b"some", b"", b"more"]),
    "/empty": (200, [(b"content-length", b"0"), (b"etag", b'"1"')], [b""]),
    "/unsaid": (200, [(b"etag", b"\xe9\t")], [b"no", b"length"]),
    "/chunked": (200, [(b"Transfer-Encoding", b"chunked")], [b"a", b"b"]),
    "/last": (200, [(b"content-length", b"4"), (b"Connection", b"close")], [b"last"]),
    "/nothing": (204, [], [b""]),
    "/same": (304, [(b"etag", b'"1"')], [b""]),
    "/split": (200, [(b"content-length", b"0"), (b"x", b"a\r\nb: c")], [b""]),
    "/name": (200, [(b"content-length", b"0"), (b"x:", b"a")], [b""]),
    "/control": (200, [(b"content-length", b"0"), (b"x", b"\x01")], [b""]),
}


async def application(scope: Any, receive: Any, send: Any) -> None:
    status, headers, parts = ANSWERS[scope["path"]]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    for part in parts[:-1]:
        await send({"type": "http.response.body", "body": part, "more_body": True})
    await send({"type": "http.response.body", "body": parts[-1]})


@contextlib.asynccontextmanager
async def serving(protocol: type[asyncio.Protocol]) -> AsyncIterator[int]:
    """A server with the protocol; its port."""
    listener = socket.create_server(("127.0.0.1", 0))
    config = uvicorn.Config(
        application, http=protocol, lifespan="off", log_config=None, access_log=False, date_header=False
    )
    server = uvicorn.Server(config)
    server.capture_signals = contextlib.nullcontext  # type: ignore[method-assign,assignment]  # pytest keeps its signals
    running = asyncio.create_task(server.serve(sockets=[listener]))
    await eventually(lambda: server.started, 30, "the server starts")
    yield listener.getsockname()[1]
    server.should_exit = True
    await running


async def answered(port: int, requests: bytes) -> bytes:
    """All that comes until the server closes."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(requests)
    try:
        return await asyncio.wait_for(reader.read(), 30)
    finally:
        writer.close()


def request(path: str, verb: str = "GET", more: str = "", version: str = "1.1") -> bytes:
    return f"{verb} {path} HTTP/{version}\r\nHost: a\r\n{more}\r\n".encode()


LAST = request("/last")


REQUESTS = {
    **{path: request(path) + LAST for path in ANSWERS},
    **{f"HEAD {path}": request(path, "HEAD") + LAST for path in ("/plain", "/unsaid")},
    "the client closes": request("/plain", more="Connection: close\r\n"),
    "HTTP/1.0": request("/plain", version="1.0"),
    "several at once": request("/plain") + request("/parts") + request("/chunked") + LAST,
}


async def test_answers_are_written_as_the_library_writes_them() -> None:
    async with serving(HttpToolsProtocol) as theirs, serving(HttpProtocol) as ours:
        expected = {name: await answered(theirs, requests) for name, requests in REQUESTS.items()}
        found = {name: await answered(ours, requests) for name, requests in REQUESTS.items()}
    assert found == expected
    assert found["/plain"].startswith(b"HTTP/1.1 200 OK\r\n")
    assert not any(found[path] for path in ("/split", "/name", "/control"))
