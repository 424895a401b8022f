"""The hub starts at the head of the log, waits for no longer than it is asked to, and stops at once."""

import asyncio
from collections.abc import Callable

from pytest_django import Settings

from audit_app.writer import Writer
from resources_app.cache import ReadCache
from resources_app.hub.hub import CONTROL_LOST, Hub
from resources_app.log.control import ControlEvent
from resources_app.log.head import CONTROL
from tests.resources.commands import Faulty, trimming, write
from tests.resources.outlets import Client, following
from tests.resources.states import URI
from tests.stack.waiting import eventually


async def test_it_begins_at_the_head(writer: Writer, settings: Settings) -> None:
    settings.LOG_POLL_SECONDS = 60
    await asyncio.gather(*(writer.submit(write(number)) for number in range(5)))
    hub = Hub(writer, ReadCache())
    await hub.start()
    assert hub.position == 5
    await hub.stop()


async def test_it_stops_at_once_also_while_it_is_rung(writer: Writer, settings: Settings) -> None:
    settings.LOG_POLL_SECONDS = 60
    for _ in range(20):
        hub = Hub(writer, ReadCache())
        await hub.start()
        await asyncio.sleep(0)
        hub.ring()
        await asyncio.wait_for(hub.stop(), 30)


async def test_a_hub_that_starts_again_shows_followers_nothing_with_a_hole(
    hub: Hub, writer: Writer, settings: Settings
) -> None:
    client = Client()
    follower = await hub.follow(following(URI), client)
    hub.begin(follower)
    await hub.stop()
    await writer.submit(write(1))
    await hub.start()
    hub.leave(follower)
    again = Client()
    hub.begin(await hub.follow(following(URI, after=0), again))
    await writer.submit(write(2))
    await eventually(lambda: len(again.offsets) == 2, 30, "both events arrive")
    assert again.offsets == [1, 2]


async def test_waiting_for_a_position_ends_when_it_is_reached(hub: Hub, new_writer: Callable[[], Writer]) -> None:
    waiting = asyncio.create_task(hub.reached(2, 30))
    other = new_writer()
    await other.submit(write(1))
    await other.submit(write(2))
    assert await waiting is True
    assert await hub.reached(2, 0) is True


async def test_waiting_for_a_position_that_never_comes_leaves_nothing_behind(hub: Hub) -> None:
    assert await asyncio.gather(*(hub.reached(2**63 - 1, 0.01) for _ in range(100))) == [False] * 100
    cancelled = asyncio.create_task(hub.reached(5, 60))
    await asyncio.sleep(0)
    cancelled.cancel()
    await asyncio.gather(cancelled, return_exceptions=True)
    assert hub.waiting == 0


async def test_control_events_of_every_writer_are_heard_in_order(
    hub: Hub, writer: Writer, new_writer: Callable[[], Writer]
) -> None:
    heard: list[int] = []

    def fail(event: ControlEvent) -> None:
        raise RuntimeError("a listener that fails")

    hub.on_control(fail)
    hub.on_control(lambda event: heard.append(event.offset))
    other = new_writer()
    await asyncio.gather(*(one.submit(Faulty(where="", errors=[])) for _ in range(20) for one in (writer, other)))
    await eventually(lambda: len(heard) == 40, 30, "all control events are heard")
    assert heard == list(range(1, 41))


async def test_control_events_that_were_trimmed_unread_are_known_to_be_lost(
    sleepy_hub: Hub, new_writer: Callable[[], Writer]
) -> None:
    hub, heard = sleepy_hub, list[ControlEvent]()
    hub.on_control(heard.append)
    other = new_writer()
    await asyncio.gather(*(other.submit(Faulty(where="", errors=[])) for _ in range(10)))
    await other.submit(trimming(8, CONTROL, is_last=False))
    hub.ring()
    await eventually(lambda: hub.control_position == 10, 30, "the hub has read all")
    assert next((event.kind, event.offset) for event in heard if event.offset >= 7) == (CONTROL_LOST, 7)
    assert [event.offset for event in heard][-4:] == [7, 8, 9, 10]
