"""Event streams: what comes, from where, and what ends them (contract §4, §6)."""

import asyncio
import math
import re
import socket
import time
from collections.abc import Mapping
from typing import Any

import jwt
import pytest
from django.conf import settings

from erlmcp_site.node import node
from erlmcp_site.transports.sse.stream import EventStream
from erlmcp_site.transports.streams import Streams, streams
from telemetry_app.metrics import FOLLOWERS
from tests.stack.waiting import PATIENCE, in_time
from tests.transports.http_server import API, NotOpened, Site, until

ALL, ONE = "resource://host/*", "resource://host/a"


def followers() -> float:
    return float(FOLLOWERS._value.get())


async def test_a_stream_begins_with_a_position_and_goes_on_with_events(site: Site) -> None:
    token = (await site.log_in("alice"))["access"]
    async with site.stream(token, ALL) as stream:
        first = await stream.named("bookmark")
        written = await site.write("host/a", 1)
        await stream.count(1)
        (event,) = stream.events
        assert (event["offset"], event["subject"]) == (written["offset"], "resource://host/a")
        assert stream.messages[-1].id == str(written["offset"])
        assert first.data["offset"] < written["offset"]
        assert stream.headers["x-accel-buffering"] == "no"
        assert stream.headers["session-id"]


async def test_a_stream_resumes_behind_the_last_event_that_the_client_has(site: Site) -> None:
    offsets = [(await site.write("host/a", n))["offset"] for n in range(5)]
    token = (await site.log_in("alice"))["access"]
    last = {"Last-Event-ID": str(offsets[2])}
    async with site.stream(token, ONE, last, from_="earliest", after="0") as stream:
        await stream.count(2)
        assert [event["offset"] for event in stream.events] == offsets[3:]
    async with site.stream(token, ONE, from_="earliest", include_content="0") as stream:
        await stream.count(5)
        assert [event["offset"] for event in stream.events] == offsets
        assert "content" not in stream.events[0]["data"]


async def test_an_offset_that_proves_nothing_resets_the_stream(site: Site) -> None:
    token = (await site.log_in("alice"))["access"]
    await site.write("host/a", 1)
    async with site.stream(token, ONE, {"Last-Event-ID": "99999"}) as stream:
        await stream.end(5)
        (message,) = stream.messages
        assert (message.name, message.id, message.data["head"]) == ("reset", None, 1)


IMPOSSIBLE = {
    "": (400, "invalid_params"),
    "uri=resource://host/*&after=x": (400, "invalid_params"),
    "uri=resource://host/*&events=none": (400, "invalid_params"),
    "uri=resource://host/*&batch_size=0": (400, "invalid_params"),
    "uri=nothing": (400, "invalid_uri"),
    "uri=resource://host/none": (404, "resource_not_found"),
    "subscription=none": (404, "resource_not_found"),
}


async def test_a_stream_that_cannot_be_is_a_problem(site: Site) -> None:
    for query, expected in IMPOSSIBLE.items():
        response = await site.ask("GET", f"events/stream?{query}")
        assert (response.status_code, response.json()["code"]) == expected, query
    assert len(streams) == 0


async def test_a_client_that_goes_is_let_go_at_once(site: Site) -> None:
    token = (await site.log_in("alice"))["access"]
    before = followers()
    async with site.stream(token, ALL) as stream:
        await stream.named("bookmark")
        assert (len(streams), followers()) == (1, before + 1)
    await until(lambda: not len(streams) and followers() == before)


async def test_a_revoked_token_ends_its_streams_within_a_second(site: Site) -> None:
    async def revoke() -> float:
        tokens, other = await site.log_in("alice"), await site.log_in("alice")
        async with site.stream(tokens["access"], ALL) as cut, site.stream(other["access"], ALL) as kept:
            await cut.named("bookmark")
            await kept.named("bookmark")
            revoked = await site.http.post(f"{API}/auth/revoke", json={"refresh": tokens["refresh"]})
            at = time.monotonic()
            assert revoked.status_code == 200
            await cut.end()
            took = time.monotonic() - at
            await site.write("host/a", 1)
            await kept.count(1)
            assert not kept.ended.is_set()
            return took

    await in_time(revoke, 1, "the stream ends")


@pytest.mark.parametrize("verb", ["suspend", "close"])
async def test_the_end_of_a_session_ends_its_streams_within_a_second(site: Site, verb: str) -> None:
    async def end() -> float:
        token = (await site.log_in("alice"))["access"]
        async with site.stream(token, ALL) as stream:
            await stream.named("bookmark")
            session = stream.headers["session-id"]
            if verb == "suspend":
                answer = await site.ask("POST", f"sessions/{session}/suspend", user="admin")
            else:
                answer = await site.ask("DELETE", f"sessions/{session}", user="admin")
            at = time.monotonic()
            assert answer.status_code in {200, 204}, answer.text
            await stream.end()
            return time.monotonic() - at

    await in_time(end, 1, "the stream ends")


async def test_a_stream_ends_with_its_token_within_a_second(site: Site, settings: Any) -> None:
    lives = iter((1, 5, 20))

    async def expire() -> float:
        settings.ACCESS_TOKEN_SECONDS = next(lives)
        token = (await site.log_in("alice"))["access"]
        ends_at = float(jwt.decode(token, options={"verify_signature": False})["exp"])
        try:
            async with site.stream(token, ALL) as stream:
                await stream.named("bookmark")
                await stream.end()
        except NotOpened:
            # so slow is this machine
            assert time.time() >= ends_at
            return math.inf
        assert time.time() >= ends_at
        return time.time() - ends_at

    await in_time(expire, 1, "the stream ends")


async def test_a_drain_ends_streams_and_says_when_to_come_back(monkeypatch: pytest.MonkeyPatch) -> None:
    sent: list[Mapping[str, Any]] = []

    async def receive() -> Mapping[str, Any]:
        await asyncio.Event().wait()
        return {}

    async def send(message: Mapping[str, Any]) -> None:
        sent.append(message)

    draining, early, late = Streams(), EventStream(), EventStream()
    draining.add(early, session="s", family="f", user="u")
    answering = asyncio.create_task(early({"method": "GET"}, receive, send))
    await asyncio.sleep(0)
    await draining.drain(0.2)
    await asyncio.wait_for(answering, PATIENCE)
    frame = re.fullmatch(rb'retry: (\d+)\nevent: drain\ndata: {"retry_ms":(\d+)}\n\n', sent[-1]["body"])
    assert frame is not None and frame[1] == frame[2]
    assert sent[-1]["more_body"] is False
    monkeypatch.setattr(node, "draining", asyncio.Event())
    node.draining.set()
    draining.add(late, session="s", family="f", user="u")
    await asyncio.wait_for(late({"method": "GET"}, receive, send), PATIENCE)
    assert len(draining) == 0


async def test_a_client_that_does_not_read_is_cut(site: Site) -> None:
    """Its buffers fill while events come; the stream is let go without waiting for it."""
    token = (await site.log_in("alice"))["access"]
    host, port = site.http.base_url.host, site.http.base_url.port
    assert port is not None
    with socket.socket() as lazy:
        lazy.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        lazy.setblocking(False)
        await asyncio.get_running_loop().sock_connect(lazy, (host.replace("localhost", "127.0.0.1"), port))
        request = (
            f"GET {API}/events/stream?uri=resource://host/* HTTP/1.1\r\n"
            f"Host: localhost\r\nAuthorization: Bearer {token}\r\n\r\n"
        )
        await asyncio.get_running_loop().sock_sendall(lazy, request.encode())
        await until(lambda: len(streams) == 1)
        (stream,) = list(streams)
        assert isinstance(stream, EventStream)
        for n in range(8):
            await site.write("host/a", "x" * (settings.RESOURCE_MAX_BYTES // 2) + str(n))
        await asyncio.sleep(0)
        stream.slow()
        await until(lambda: not len(streams))
