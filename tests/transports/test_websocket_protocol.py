"""Writing past ASGI: what we rely on inside uvicorn, the frames that we write ourselves, and servers without that."""

import asyncio
import contextlib
import itertools
from collections.abc import AsyncIterator
from inspect import signature
from typing import Any

import pytest
import uvloop
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed
from websockets.frames import Frame, Opcode
from websockets.server import ServerProtocol

from erlmcp_site.transports.websocket.protocol import Protocol, text_head
from erlmcp_site.transports.websocket.registry import connections
from resources_app.hub import flusher
from tests.transports.websocket_server import Client, Server, serving

new_event_loop = uvloop.new_event_loop
"""The loop that serves. asyncio's own never pauses a protocol in `writelines` before 3.12.9 and 3.13.2.

That is CVE-2024-12254.
"""

BELOW = "resource://test.local/notes/*"


@pytest.mark.parametrize("size", [0, 1, 125, 126, 65535, 65536, 1_000_000])
def test_the_head_of_a_frame_is_that_of_the_library(size: int) -> None:
    frame = Frame(Opcode.TEXT, b"x" * size).serialize(mask=False)
    assert frame == text_head(size) + b"x" * size


def test_uvicorn_has_the_inside_that_we_use() -> None:
    used = {
        "request",
        "response",
        "scope",
        "close_sent",
        "disconnected",
        "transport",
        "queue",
        "conn",
        "loop",
        "writable",
    }
    used |= {"read_paused", "close_timer", "handle_connect", "stop_keepalive"}
    used |= {"frames", "handle_ping", "handle_pong", "handle_cont"}
    names = set(WebSocketsSansIOProtocol.__init__.__code__.co_names) | set(dir(WebSocketsSansIOProtocol))
    names |= set(WebSocketsSansIOProtocol.handle_connect.__code__.co_names)
    assert used <= names
    assert list(signature(WebSocketsSansIOProtocol.handle_connect).parameters) == ["self", "event"]
    assert {"send_close", "data_to_send"} <= set(dir(ServerProtocol))


@pytest.fixture(params=[Protocol, WebSocketsSansIOProtocol])
async def any_server(db: None, settings: Any, request: pytest.FixtureRequest) -> AsyncIterator[Server]:
    """A server with our protocol, and with uvicorn's."""
    assert isinstance(asyncio.get_running_loop(), uvloop.Loop)
    settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
    async with serving(request.param) as server:
        yield server


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("size", [1, 100, 4000, 60_000])
async def test_answers_and_events_of_any_size_arrive_on_any_server(any_server: Server, size: int) -> None:
    async with any_server.connect() as client:
        await client.result("resources/subscribe", uri=BELOW)
        content = "ü" * (size // 2) + "x" * (size % 2)
        for number in range(5):
            await client.result("resources/write", uri=f"resource://test.local/notes/{number}", content=content)
        events = await client.events(5)
        assert [event["data"]["content"] for event in events] == [content] * 5
        session = (await client.result("sessions/list"))["sessions"][0]["id"]
        await any_server.ask("sessions/suspend", {"session": session}, as_user="admin")
        assert (await client.rest())[-1]["params"] == {"state": "suspended"}
        assert await client.closed() == 4403


async def follow_without_reading(client: Client) -> None:
    await client.result("resources/subscribe", uri=BELOW)
    client.connection.transport.pause_reading()


@pytest.mark.django_db(transaction=True)
async def test_a_client_that_does_not_read_is_cut_and_the_others_go_on(
    any_server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    # tests/acceptance/test_slow_readers.py waits for the ten seconds of life
    monkeypatch.setattr(flusher, "SLOW_SECONDS", 3.0)
    async with any_server.connect() as stuck, any_server.connect() as writer:
        await follow_without_reading(stuck)
        await writer.result("resources/subscribe", uri=BELOW)
        assert len(connections) == 2
        written = 0
        async with asyncio.timeout(120):
            while len(connections) == 2:
                await writer.result("resources/write", uri="resource://test.local/notes/1", content="x" * 60_000)
                written += 1
                await asyncio.sleep(0.02)
        if any_server.protocol is Protocol:
            await any_server.has_connections(1)
        events = await writer.events(written)
        assert [event["version"] for event in events] == list(range(1, written + 1))
        stuck.connection.transport.abort()


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("kind", ["ping", "pong"])
async def test_a_flood_of_frames_that_are_no_messages_is_ended(server: Server, kind: str) -> None:
    async with server.connect() as client:
        with pytest.raises(ConnectionClosed):
            for _ in range(1_000_000):
                await getattr(client.connection, kind)()
                await asyncio.sleep(0)
        assert await client.closed() == 4429


@pytest.mark.django_db(transaction=True)
async def test_a_message_in_endless_pieces_is_ended(server: Server) -> None:
    """Empty pieces, which no bound on bytes would ever count."""
    async with server.connect() as client:
        with contextlib.suppress(ConnectionClosed):
            await client.connection.send(itertools.repeat("", 5_000))
        assert await client.closed() == 4400


@pytest.mark.django_db(transaction=True)
async def test_a_message_in_some_pieces_is_read(server: Server) -> None:
    async with server.connect() as client:
        text = '{"jsonrpc":"2.0","id":"a","method":"ping"}'
        await client.connection.send(list(text))
        assert (await client.answer("a"))["result"] == {}


@pytest.mark.django_db(transaction=True)
async def test_compression_is_not_offered(server: Server) -> None:
    """So no small message can become a large one."""
    headers = {"Authorization": f"Bearer {await server.token()}"}
    async with connect(server.url, additional_headers=headers, compression="deflate", proxy=None) as connection:
        assert connection.response is not None
        assert "Sec-WebSocket-Extensions" not in connection.response.headers
