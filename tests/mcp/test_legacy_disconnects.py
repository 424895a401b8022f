"""Clients of the legacy era that go away without a word leave nothing behind once their sessions have ended."""

import asyncio
import contextlib
import socket
import struct
from typing import Any

import orjson
import pytest

from erlmcp_site.methods.tools.registry import TOOLS
from erlmcp_site.transports.mcp.legacy.asked import asked
from erlmcp_site.transports.mcp.legacy.running import running
from erlmcp_site.transports.streams import streams
from sessions_app.mail.boxes import mailboxes
from telemetry_app.metrics import FOLLOWERS
from tests.mcp.fixture_app.tools import TOOLS as FIXTURES
from tests.mcp.legacy_client import Legacy
from tests.mcp.listening_site import gone_all
from tests.stack.waiting import PATIENCE, eventually
from tests.transports.http_server import Site

ABRUPT = 1000
ASKED = 200
"""Of them wait for an answer, the others for changes."""

CLIENTS = 25
AT_ONCE = 50
URI = "resource://host/a"
SAMPLING = {"name": "test_sampling", "arguments": {"prompt": "Which colour?"}}


@pytest.fixture(autouse=True)
def tools(monkeypatch: pytest.MonkeyPatch) -> None:
    """The tools of the conformance suite."""
    for tool in FIXTURES:
        monkeypatch.setitem(TOOLS, tool.name, tool)


def raw(client: Legacy, verb: str, host: str, body: bytes = b"") -> bytes:
    headers = {**client.headers(), "Host": host, "Authorization": client.http.headers["authorization"]}
    lines = [f"{name}: {value}" for name, value in {**headers, "Content-Length": str(len(body))}.items()]
    return "\r\n".join([f"{verb} /mcp HTTP/1.1", *lines, "", ""]).encode() + body


async def break_off(port: int, request: bytes, after: bytes) -> None:
    """Send a request, and reset the connection once its answer has said something."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    linger = struct.pack("ii", 1, 0)
    writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
    writer.write(request)
    await reader.readuntil(after)
    writer.close()
    with contextlib.suppress(ConnectionError):
        await writer.wait_closed()


async def test_a_server_that_ends_waits_for_no_answer(site: Site) -> None:
    token = (await site.log_in("alice"))["access"]
    client = Legacy([str(site.http.base_url).rstrip("/")], token)
    await client.begin(capabilities={"sampling": {}})
    async with client.calling(client.request("tools/call", SAMPLING)) as events:
        assert (await events.message())["method"] == "sampling/createMessage"
        await streams.drain(0.1)
        assert (await events.message())["error"]["message"] == "This server ends; ask again."
    await eventually(lambda: len(streams) == len(asked) == 0, PATIENCE, "nothing is left")
    await client.close()


async def test_a_thousand_abrupt_disconnects_leave_nothing(site: Site) -> None:
    before = float(FOLLOWERS._value.get())
    await site.write("host/a", 1)
    token = (await site.log_in("alice"))["access"]
    base, port = str(site.http.base_url).rstrip("/"), int(site.http.base_url.port or 0)
    clients = [Legacy([base], token) for _ in range(CLIENTS)]
    for client in clients:
        await client.begin(capabilities={"sampling": {}})
        await client.ask("resources/subscribe", {"uri": URI})

    async def once(number: int) -> None:
        client = clients[number % CLIENTS]
        if number >= ASKED:
            await break_off(port, raw(client, "GET", f"localhost:{port}"), b"retry:")
        else:
            body = orjson.dumps(client.request("tools/call", SAMPLING))
            await break_off(port, raw(client, "POST", f"localhost:{port}", body), b"sampling/createMessage")

    for first in range(0, ABRUPT, AT_ONCE):
        await asyncio.gather(*(once(number) for number in range(first, first + AT_ONCE)))
    # what was asked of clients still waits for their answers
    await eventually(lambda: len(asked) == ASKED, PATIENCE, lambda: len(asked))
    for client in clients:
        assert (await client.end()).status_code == 200
        await client.close()
    await gone_all()

    def left() -> list[Any]:
        return [len(streams), len(running), len(asked), len(mailboxes.bells)]

    await eventually(lambda: not any(left()), PATIENCE, left)
    assert float(FOLLOWERS._value.get()) == before
