"""A client that reads slowly costs nobody else anything, catches up in larger frames, and is cut when it stops."""

import asyncio

import pytest

from audit_app.writer import Writer
from resources_app.hub import flusher
from resources_app.hub.hub import Hub
from tests.resources.commands import write
from tests.resources.outlets import Client, arrive, following
from tests.resources.states import URI
from tests.stack.waiting import eventually


async def follow(hub: Hub, client: Client) -> None:
    client.followers["s"] = await hub.follow(following(URI), client)
    hub.begin(client.followers["s"])


async def test_what_gathers_while_a_client_is_busy_comes_in_one_frame(hub: Hub, writer: Writer) -> None:
    slow, fast = Client(gate=asyncio.Event()), Client()
    await follow(hub, slow)
    await follow(hub, fast)
    for number in range(30):
        await writer.submit(write(number))
    await arrive(fast, 30)
    assert slow.frames == []
    assert slow.gate is not None
    slow.gate.set()
    await arrive(slow, 30)
    assert slow.offsets == fast.offsets == list(range(1, 31))
    assert len(slow.frames) <= 3


async def test_a_client_that_falls_behind_the_tail_goes_on_from_the_log(
    hub: Hub, writer: Writer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("resources_app.hub.topics.MAX_TAIL_EVENTS", 8)
    slow, fast = Client(gate=asyncio.Event()), Client()
    await follow(hub, slow)
    await follow(hub, fast)
    for _ in range(10):
        await asyncio.gather(*(writer.submit(write(number)) for number in range(10)))
    await arrive(fast, 100)
    assert slow.gate is not None
    slow.gate.set()
    await arrive(slow, 100)
    assert slow.offsets == fast.offsets == list(range(1, 101))


async def test_a_client_that_stops_reading_is_cut_and_the_others_go_on(
    hub: Hub, writer: Writer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(flusher, "SLOW_SECONDS", 0.2)
    monkeypatch.setattr(flusher, "WATCH_SECONDS", 0.05)
    await hub.stop()
    await hub.start()
    stuck, fast = Client(gate=asyncio.Event()), Client()
    await follow(hub, stuck)
    await follow(hub, fast)
    await writer.submit(write(1))
    await eventually(lambda: stuck.cuts, 30, "the client is cut")
    await writer.submit(write(2))
    await arrive(fast, 2)
    assert (stuck.cuts, stuck.frames, fast.cuts) == (1, [], 0)


async def test_an_idle_client_gets_bookmarks_that_it_can_resume_from(
    hub: Hub, writer: Writer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(flusher, "BOOKMARK_SECONDS", 0.1)
    monkeypatch.setattr(flusher, "WATCH_SECONDS", 0.05)
    await hub.stop()
    await hub.start()
    client = Client()
    await follow(hub, client)
    for number in range(5):
        await writer.submit(write(number, "resource://example.com/other"))
    await eventually(lambda: client.bookmarks[-1:] == [5], 30, "the bookmark arrives")
    resumed = Client()
    hub.begin(await hub.follow(following(URI, after=5), resumed))
    await writer.submit(write(1))
    await arrive(resumed, 1)
    assert resumed.offsets == client.offsets == [6]
    assert client.bookmarks == sorted(client.bookmarks)
