"""What ends a subscription of MCP, what does not, and that nothing is left of it."""

import asyncio
import contextlib
import math
import socket
import struct
import time
from collections.abc import Awaitable, Callable
from typing import Any

import jwt
import orjson
import pytest

from erlmcp_site.transports.http import streamed
from erlmcp_site.transports.mcp import following
from erlmcp_site.transports.mcp.listen import ListenStream
from erlmcp_site.transports.streams import Streams, streams
from resources_app.hub import flusher
from telemetry_app.metrics import FOLLOWERS
from tests.mcp.listening_site import A, B, Reader, agent, deny, gone_all, told_apart
from tests.stack.mcp_client import Mcp, headers_of
from tests.stack.mcp_listening import SUBSCRIPTION, Listening, NotListening, listen
from tests.stack.waiting import PATIENCE, eventually, in_time
from tests.transports.http_server import API, Site, bearer

ABRUPT = 1000
AT_ONCE = 100


def check_result(stream: Listening, id: int | str) -> None:
    """The last word of a stream is its result."""
    meta = {SUBSCRIPTION: id}
    assert stream.said[-1] == {"jsonrpc": "2.0", "id": id, "result": {"resultType": "complete", "_meta": meta}}


async def revoke(site: Site, tokens: Any, session: str) -> None:
    """End a login."""
    assert (await site.http.post(f"{API}/auth/revoke", json={"refresh": tokens["refresh"]})).status_code == 200


async def suspend(site: Site, tokens: Any, session: str) -> None:
    """Suspend a session."""
    assert (await site.ask("POST", f"sessions/{session}/suspend", user="admin")).status_code == 200


@pytest.mark.parametrize("end", [revoke, suspend])
async def test_what_ends_a_login_or_a_session_ends_its_streams_with_a_result_within_a_second(
    site: Site, end: Callable[[Site, Any, str], Awaitable[None]]
) -> None:
    await site.write("host/a", 1)

    async def ends() -> float:
        tokens = await site.log_in("alice")
        made = await site.http.post(f"{API}/sessions", json={}, headers=bearer(tokens["access"]))
        session = str(made.json()["id"])
        async with (
            agent(site, token=tokens["access"], session=session) as alice,
            agent(site) as other,
            listen(alice, [A], id="last") as cut,
            listen(other, [A]) as kept,
        ):
            await cut.acknowledged()
            await kept.acknowledged()
            await end(site, tokens, session)
            at = time.monotonic()
            await cut.end()
            took = time.monotonic() - at
            check_result(cut, "last")
            await told_apart(kept, site, "host/a")
            return took

    await in_time(ends, 1, "the stream ends")


async def test_a_stream_ends_with_its_token_and_a_result(site: Site, settings: Any) -> None:
    await site.write("host/a", 1)
    lives = iter((1, 5, 20))

    async def expire() -> float:
        settings.ACCESS_TOKEN_SECONDS = next(lives)
        token = (await site.log_in("alice"))["access"]
        ends_at = float(jwt.decode(token, options={"verify_signature": False})["exp"])
        try:
            async with agent(site, token=token) as alice, listen(alice, [A], id=5) as stream:
                await stream.acknowledged()
                await stream.end()
                check_result(stream, 5)
        except NotListening:
            # so slow is this machine
            assert time.time() >= ends_at
            return math.inf
        assert time.time() >= ends_at
        return time.time() - ends_at

    await in_time(expire, 1, "the stream ends")


async def test_a_drain_ends_a_stream_with_its_result() -> None:
    sent: list[bytes] = []

    async def receive() -> Any:
        await asyncio.Event().wait()

    async def send(message: Any) -> None:
        sent.append(message.get("body", b""))

    draining, stream = Streams(), ListenStream(9)
    draining.add(stream, session="s", family="f", user="u")
    answering = asyncio.create_task(stream({"method": "POST"}, receive, send))
    await asyncio.sleep(0)
    await draining.drain(0.2)
    await asyncio.wait_for(answering, PATIENCE)
    result = orjson.loads(sent[-1].partition(b"data: ")[2])
    assert result == {"jsonrpc": "2.0", "id": 9, "result": {"resultType": "complete", "_meta": {SUBSCRIPTION: 9}}}


@pytest.mark.parametrize("verb", ["read", "subscribe"])
async def test_who_may_not_follow_one_resource_any_more_hears_on_of_the_others(site: Site, verb: str) -> None:
    for path in ("host/a", "host/b"):
        await site.write(path, 1)
    async with agent(site, "bob") as bob, listen(bob, [A, B]) as stream:
        assert await stream.acknowledged() == {"resourceSubscriptions": [A, B]}
        (kept,) = streams
        assert isinstance(kept, ListenStream)

        async def is_cut() -> float:
            at = time.monotonic()
            await eventually(lambda: set(kept.followers) == {B}, PATIENCE, "one follower is cut")
            return time.monotonic() - at

        await deny(site, "bob", A, verb)
        await in_time(is_cut, 1, "the resource is not followed any more")
        await site.write("host/a", 2)
        await told_apart(stream, site, "host/b")
        assert stream.updates == [B] and stream.result is None


async def test_a_stream_on_which_nothing_happens_is_kept_alive(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    assert streamed.PING_SECONDS <= 15
    monkeypatch.setattr(streamed, "PING_SECONDS", 0.05)
    async with agent(site) as alice, listen(alice, resourcesListChanged=True) as stream:
        await eventually(lambda: len(stream.comments) > 1, PATIENCE, "comments come")
        assert len(stream.said) == 1


async def test_changes_that_wait_for_a_client_are_told_of_once_and_the_last_is_never_lost(site: Site) -> None:
    first = await site.write("host/a", 1)
    token = (await site.log_in("alice"))["access"]
    reader = Reader(token, Mcp("").message("subscriptions/listen", {"notifications": {"resourceSubscriptions": [A]}}))
    async with reader.listening():
        await eventually(lambda: reader.messages, PATIENCE, "it is acknowledged")
        reader.reads.clear()
        await site.write("host/a", 2)
        await eventually(lambda: reader.waits, PATIENCE, "it waits for its client")
        for n in range(3, 9):
            last = await site.write("host/a", n)
        reader.reads.set()
        await eventually(lambda: len(reader.messages) > 2, PATIENCE, "it is told of the rest")
        told = [message["params"]["_meta"]["io.erlmcp/version"] for message in reader.messages[1:]]
        assert told == [first["version"] + 1, last["version"]]


@pytest.mark.parametrize("wants", [{"resourceSubscriptions": [A]}, {"resourcesListChanged": True}])
async def test_a_client_that_does_not_read_is_cut_and_others_are_told_everything(
    site: Site, monkeypatch: pytest.MonkeyPatch, wants: Any
) -> None:
    monkeypatch.setattr(flusher, "SLOW_SECONDS", 0.1)
    monkeypatch.setattr(following, "SLOW_SECONDS", 0.1)
    monkeypatch.setattr(streamed, "CLOSE_SECONDS", 0.1)
    await site.write("host/a", 1)
    token = (await site.log_in("alice"))["access"]
    reader = Reader(token, Mcp("").message("subscriptions/listen", {"notifications": wants}))
    async with agent(site) as other, listen(other, [A]) as heard, reader.listening() as answering:
        await heard.acknowledged()
        await eventually(lambda: reader.messages, PATIENCE, "it is acknowledged")
        reader.reads.clear()
        await site.write("host/a", 2)
        await site.write("host/new", 1)
        await asyncio.wait_for(asyncio.wait([answering]), PATIENCE)
        assert answering.done() and len(streams) == 1
        for _ in range(6):
            await told_apart(heard, site, "host/a")
        assert len(reader.messages) == 1 and len(heard.updates) >= 7


async def test_a_thousand_clients_that_break_off_leave_nothing(site: Site) -> None:
    for path in ("host/a", "host/b"):
        await site.write(path, 1)
    before = float(FOLLOWERS._value.get())
    token = (await site.log_in("alice"))["access"]
    asked = {"resourceSubscriptions": [A, B], "resourcesListChanged": True}
    message = Mcp("").message("subscriptions/listen", {"notifications": asked})
    body = orjson.dumps(message)
    headers = {**headers_of(message), "Host": "localhost", "Authorization": f"Bearer {token}"}
    lines = [f"{name}: {value}" for name, value in {**headers, "Content-Length": str(len(body))}.items()]
    request = "\r\n".join(["POST /mcp HTTP/1.1", *lines, "", ""]).encode() + body
    port = site.http.base_url.port

    async def break_off() -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        # so that closing it resets it
        linger = struct.pack("ii", 1, 0)
        writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        writer.write(request)
        await reader.readuntil(b'/acknowledged"')
        writer.close()
        with contextlib.suppress(ConnectionError):
            await writer.wait_closed()

    for _ in range(ABRUPT // AT_ONCE):
        await asyncio.gather(*(break_off() for _ in range(AT_ONCE)))
    await gone_all()
    assert float(FOLLOWERS._value.get()) == before
