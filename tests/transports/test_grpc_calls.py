"""A gRPC server in the loop of the test: clients that go away, limits of a connection, and streams that are ended."""

import asyncio
import struct
import threading
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import AsyncExitStack, contextmanager
from dataclasses import dataclass
from typing import Any

import grpc
import pytest
import uvloop
from django.contrib.auth.models import User
from pytest_django import Settings

from audit_app.commands import Event
from audit_app.database import in_database
from audit_app.writer import writer
from erlmcp_site.transports.grpc.server import MAX_METADATA_BYTES, MAX_STREAMS, Server
from erlmcp_site.transports.streams import streams
from resources_app.hub.hub import CONTROL_LOST
from resources_app.log.control import ControlEvent
from sessions_app.connected import connected
from tests.stack.grpc_client import Grpc
from tests.stack.messages import request_of, rpc_of
from tests.stack.outbox import entries
from tests.stack.refusals import refuses
from tests.stack.waiting import eventually
from tests.transports.http_server import Site

new_event_loop = uvloop.new_event_loop

WITHIN = 20.0

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
SETTINGS, PING, GOAWAY = 4, 6, 7
MAX_CONCURRENT_STREAMS = 3
ENHANCE_YOUR_CALM = 11


@dataclass(frozen=True, kw_only=True)
class Place:
    """Where gRPC is answered, and the whole application beside it."""

    port: int
    site: Site
    alice: Grpc


@pytest.fixture
async def place(site: Site) -> AsyncIterator[Place]:
    server = Server()
    port = await server.start("127.0.0.1", 0)
    token = (await site.log_in("alice"))["access"]
    try:
        async with Grpc(f"127.0.0.1:{port}", token) as alice:
            yield Place(port=port, site=site, alice=alice)
    finally:
        await server.stop(0)


@contextmanager
def held_writer() -> Iterator[Callable[[], bool]]:
    """The next change to be committed holds up all others until the block ends; tells whether it has come to that."""
    is_held, may_go_on = threading.Event(), threading.Event()

    def hold(events: Sequence[Event]) -> None:
        is_held.set()
        may_go_on.wait(WITHIN)

    writer.listen(hold)
    try:
        yield is_held.is_set
    finally:
        may_go_on.set()
        writer.unlisten(hold)


def started(client: Grpc, method: str, **params: Any) -> Any:
    """A call that nobody waits for yet."""
    call = client.channel.unary_unary(rpc_of(method))
    return call(request_of(method, params).SerializeToString(), metadata=tuple(client.metadata.items()))


async def test_a_write_whose_client_goes_is_made_all_the_same_and_leaves_one_entry(place: Place) -> None:
    # who has no session yet would wait for one
    await place.site.ask("GET", "resources")
    await place.alice.call("resources/list")
    with held_writer() as is_held:
        first = asyncio.create_task(place.site.write("host/first", 1))
        await eventually(is_held, WITHIN, "the writer is held up")
        call = started(place.alice, "resources/write", uri="resource://host/second", content=2)
        await eventually(lambda: writer.waiting == 1, WITHIN, "the write waits")
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call
    await first

    async def written() -> bool:
        return (await place.site.ask("GET", "resources/host/second")).status_code == 200

    await eventually(written, WITHIN, "it is written")
    left = await in_database(entries, "resources/write")
    assert [(entry["transport"], entry["outcome"]) for entry in left] == [("rest", "success"), ("grpc", "success")]


async def test_what_was_read_before_is_answered_as_it_is_now(place: Place) -> None:
    """The response is made once a state, not once a read; nor is it that of REST."""
    for n in range(3):
        await place.site.write("host/a", n)
        for _ in range(2):
            read = await place.alice.call("resources/read", uri="resource://host/a")
            assert (read["content"], read["version"]) == (n, n + 1)
            assert read.result == (await place.site.ask("GET", "resources/host/a")).json()
    old = await place.alice.call("resources/read", uri="resource://host/a", version=1)
    assert old["content"] == 0


async def test_a_poll_whose_client_goes_leaves_an_entry_that_says_so(place: Place) -> None:
    user = await in_database(User.objects.get, username="alice")
    subscription = (await place.alice.call("subscriptions/create", uri="resource://host/*"))["id"]
    call = started(place.alice, "events/poll", subscription=subscription, timeout_ms=60_000)
    await eventually(lambda: connected[str(user.pk)] == 1, WITHIN, "the poll waits")
    call.cancel()

    async def told() -> list[dict[str, Any]]:
        return await in_database(entries, "events/poll")

    await eventually(told, WITHIN, "the entry of the poll")
    (entry,) = await told()
    assert (entry["code"], entry["details"]) == ("deadline_exceeded", {"abandoned": True})
    assert connected[str(user.pk)] == 0


async def test_streams_take_places_of_their_user_until_they_end(place: Place, settings: Settings) -> None:
    settings.SOCKETS_PER_USER = 2
    user = await in_database(User.objects.get, username="alice")
    async with place.alice.follow(uri="resource://host/*"):
        async with place.alice.follow(uri="resource://host/*"):
            assert connected[str(user.pk)] == 2
            with refuses("rate_limited") as refusal:
                async with place.alice.follow(uri="resource://host/*"):
                    pass
            assert int(refusal["limit"]) == 2
        await eventually(lambda: connected[str(user.pk)] == 1, WITHIN, "the place is given back")
        async with place.alice.follow(uri="resource://host/*"):
            pass
    await eventually(lambda: connected[str(user.pk)] == 0, WITHIN, "all places are given back")


async def test_streams_that_are_sent_away_come_back_at_different_times(place: Place) -> None:
    async with AsyncExitStack() as following:
        followed = [await following.enter_async_context(place.alice.follow(uri="resource://host/*")) for _ in range(8)]
        streams.follow_control(ControlEvent(kind=CONTROL_LOST, subject=""))
        ends = [await stream.end(within=WITHIN) for stream in followed]
    assert {end.code for end in ends} == {"unavailable"}
    told = [stream.messages[-1].drain.retry_ms for stream in followed]
    # of eight by chance
    assert len(set(told)) > 1 and min(told) > 0
    assert [round(end.data["retry_after"] * 1000) for end in ends] == told
    assert [int(end.headers["retry-after"]) for end in ends] == [-(-retry_ms // 1000) for retry_ms in told]


async def test_metadata_are_taken_up_to_their_limit_and_never_beyond(place: Place) -> None:
    for size, is_taken in ((MAX_METADATA_BYTES - 2000, True), (MAX_METADATA_BYTES + 1000, False)):
        for _ in range(10):
            metadata = (*place.alice.metadata.items(), ("x-filler", "x" * size))
            call = place.alice.channel.unary_unary(rpc_of("resources/list"))(b"", metadata=metadata)
            code = await call.code()
            assert code is (grpc.StatusCode.OK if is_taken else grpc.StatusCode.RESOURCE_EXHAUSTED)


async def test_a_connection_says_how_many_calls_it_takes_and_who_pings_too_often_is_cut(place: Place) -> None:
    reader, writing = await asyncio.open_connection("127.0.0.1", place.port)
    # far more than the strikes that are forgiven; in one segment: what is left unread when it closes, resets
    writing.write(PREFACE + frame(SETTINGS) + frame(PING, b"too fast") * 20)
    told: dict[int, int] = {}
    last = b""
    async with asyncio.timeout(WITHIN):
        while True:
            kind, flags, payload = await read_frame(reader)
            if kind == SETTINGS and not flags:
                told |= dict(struct.iter_unpack(">HI", payload))
            elif kind == GOAWAY:
                last = payload
                break
    writing.close()
    assert told[MAX_CONCURRENT_STREAMS] == MAX_STREAMS
    assert struct.unpack(">I", last[4:8]) == (ENHANCE_YOUR_CALM,) and last[8:] == b"too_many_pings"


def frame(kind: int, payload: bytes = b"") -> bytes:
    """A frame of HTTP/2 that belongs to no stream."""
    return struct.pack(">I", len(payload))[1:] + bytes([kind, 0]) + struct.pack(">I", 0) + payload


async def read_frame(reader: asyncio.StreamReader) -> tuple[int, int, bytes]:
    """Type, flags and payload of the next frame."""
    head = await reader.readexactly(9)
    return head[3], head[4], await reader.readexactly(int.from_bytes(head[:3]))
