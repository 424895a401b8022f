"""Followers get every matching event once, in the order of offsets, whoever committed it and whenever they came."""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from audit_app.database import in_database
from audit_app.writer import Writer
from resources_app.errors import Reset
from resources_app.hub.hub import Hub
from tests.resources.commands import delete, offsets, trimming, versions, write
from tests.resources.outlets import Broken, Client, arrive, following
from tests.resources.states import URI
from tests.stack.waiting import eventually

ALL = "resource://example.com/*"


def uri(number: int) -> str:
    return f"resource://example.com/{number}"


class Dated(Client):
    """Notes when the hub began each delivery: the client may be handed it later, when the machine is busy."""

    async def deliver(self, subscription: str, payload: Any, last: int) -> None:
        await super().deliver(subscription, payload, last)
        self.times[-1] = self.followers[subscription].sent_at


async def follow(hub: Hub, client: Client, pattern: str = ALL, **wants: object) -> None:
    client.followers["s"] = await hub.follow(following(pattern, **wants), client)
    hub.begin(client.followers["s"])


async def test_own_and_foreign_commits_arrive_in_order_without_a_gap(
    hub: Hub, writer: Writer, new_writer: Callable[[], Writer]
) -> None:
    client, other = Client(), new_writer()
    await follow(hub, client)
    for _ in range(10):
        await asyncio.gather(
            *(one.submit(write(number, uri(number % 7))) for number in range(10) for one in (writer, other))
        )
    await arrive(client, 200)
    assert client.offsets == list(range(1, 201))


async def test_a_foreign_commit_is_seen_by_polling_alone(hub: Hub, new_writer: Callable[[], Writer]) -> None:
    client = Client()
    await follow(hub, client)
    await new_writer().submit(write(1))
    await arrive(client, 1)
    assert hub.position == 1


async def test_nothing_is_missed_or_doubled_between_replay_and_live(
    hub: Hub, writer: Writer, new_writer: Callable[[], Writer]
) -> None:
    other = new_writer()
    stop = asyncio.Event()

    async def keep_writing(one: Writer) -> None:
        number = 0
        while not stop.is_set():
            number += 1
            await asyncio.gather(*(one.submit(write(number, uri(n))) for n in range(3)))

    writing = [asyncio.create_task(keep_writing(one)) for one in (writer, other)]
    clients: list[tuple[int, Client]] = []
    for number in range(150):
        client, after = Client(), hub.position * (number % 3) // 3
        await follow(hub, client, after=after)
        clients.append((after, client))
        await asyncio.sleep(0)
    stop.set()
    await asyncio.gather(*writing)
    head = len(await in_database(offsets))
    for after, client in clients:
        await arrive(client, head - after)
        assert client.offsets == list(range(after + 1, head + 1))


async def test_a_follower_gets_what_its_pattern_and_types_name(hub: Hub, writer: Writer) -> None:
    exact, level, deletions = Client(), Client(), Client()
    await follow(hub, exact, uri(1))
    await follow(hub, level, "resource://example.com/a/+")
    await follow(hub, deletions, ALL, events=frozenset({"deleted"}))
    for command in (
        write(1, uri(1)),
        write(1, uri(11)),
        write(1, "resource://example.com/a/b"),
        write(1, "resource://example.com/a/b/c"),
        write(2, uri(1)),
        delete(uri(1)),
    ):
        await writer.submit(command)
    await arrive(deletions, 1)
    assert (exact.offsets, level.offsets, deletions.offsets) == ([1, 5, 6], [3], [6])


@pytest.mark.parametrize("pattern", [ALL, "resource://example.com/+", URI])
async def test_a_replay_delivers_what_live_events_would_have(hub: Hub, writer: Writer, pattern: str) -> None:
    live, replayed = Client(), Client()
    await follow(hub, live, pattern)
    for text in (URI, URI + "/", URI + "/b", "resource://example.com/b", "resource://example.com/b/", URI):
        await writer.submit(write(1, text))
    await eventually(lambda: hub.position == 6, 30, "the hub has read all")
    hub.topics.of(following(pattern), 0).restart(6)
    await follow(hub, replayed, pattern, after=0)
    await eventually(lambda: replayed.offsets == live.offsets and live.offsets, 30, "both have the same")


@pytest.mark.parametrize("after", [0, 1, 99, 100])
async def test_a_resume_continues_behind_its_offset(hub: Hub, writer: Writer, after: int) -> None:
    await asyncio.gather(*(writer.submit(write(number, uri(number % 3))) for number in range(100)))
    client = Client()
    await follow(hub, client, after=after)
    await writer.submit(write(0))
    await arrive(client, 101 - after)
    assert client.offsets == list(range(after + 1, 102))


@pytest.mark.parametrize("after", [0, 48, 101, 2**63 - 1])
async def test_an_offset_that_was_trimmed_or_never_was_is_a_reset(hub: Hub, writer: Writer, after: int) -> None:
    await asyncio.gather(*(writer.submit(write(number)) for number in range(100)))
    await writer.submit(trimming(50))
    with pytest.raises(Reset) as reset:
        await hub.follow(following(ALL, after=after), Client())
    assert reset.value.data == {"earliest": 50, "head": 100}
    for good in (49, 100):
        await follow(hub, Client(), after=good)


async def test_a_follower_whose_next_event_is_trimmed_before_it_begins_gets_the_notice(
    hub: Hub, writer: Writer
) -> None:
    await asyncio.gather(*(writer.submit(write(number)) for number in range(20)))
    client = Client()
    client.followers["s"] = await hub.follow(following(ALL, after=3), client)
    await writer.submit(trimming(10))
    hub.begin(client.followers["s"])
    await eventually(lambda: client.resets, 30, "the notice arrives")
    assert (client.resets, client.offsets) == ([(10, 20)], [])


async def test_everybody_is_told_when_the_process_itself_falls_out_of_the_log(
    sleepy_hub: Hub, writer: Writer, new_writer: Callable[[], Writer]
) -> None:
    hub, other, client = sleepy_hub, new_writer(), Client()
    await writer.submit(write(1))
    await follow(hub, client)
    await asyncio.gather(*(other.submit(write(number)) for number in range(20)))
    await other.submit(trimming(10))
    hub.ring()
    await eventually(lambda: client.resets, 30, "the notice arrives")
    assert (client.resets, client.offsets) == ([(10, 21)], [])
    assert hub.position == 21


async def test_batch_size_bounds_a_delivery_live_and_replayed(hub: Hub, writer: Writer) -> None:
    live, replayed = Client(), Client()
    await follow(hub, live, batch_size=3)
    await asyncio.gather(*(writer.submit(write(number)) for number in range(20)))
    await arrive(live, 20)
    hub.topics.of(following(ALL), 0).restart(20)
    await follow(hub, replayed, batch_size=3, after=0)
    await arrive(replayed, 20)
    for client in (live, replayed):
        assert client.offsets == list(range(1, 21))
        assert max(map(len, client.frames)) <= 3


@pytest.mark.parametrize("is_replay", [False, True])
async def test_throttle_gathers(hub: Hub, writer: Writer, is_replay: bool) -> None:
    client, began = Dated(), asyncio.get_running_loop().time()
    if not is_replay:
        await follow(hub, client, throttle_ms=200)
    await writer.submit(write(0))
    if not is_replay:
        await arrive(client, 1)
    for number in range(1, 10):
        await writer.submit(write(number))
    if is_replay:
        await eventually(lambda: hub.position == 10, 30, "the hub has read all")
        await follow(hub, client, throttle_ms=200, batch_size=4, after=0)
    await arrive(client, 10)
    assert client.offsets == list(range(1, 11))
    assert 2 <= len(client.frames) <= (client.times[-1] - began) / 0.2 + 2
    assert all(later - earlier >= 0.19 for earlier, later in zip(client.times, client.times[1:], strict=False))


async def test_a_topic_lives_as_long_as_its_last_follower(hub: Hub) -> None:
    first, second = Client(), Client()
    await follow(hub, first)
    await follow(hub, second)
    assert len(list(hub.topics)) == 1
    hub.leave(first.followers["s"])
    hub.leave(first.followers["s"])
    assert len(list(hub.topics)) == 1
    hub.leave(second.followers["s"])
    assert list(hub.topics) == []


async def test_a_follower_that_left_long_ago_takes_no_other_with_it(hub: Hub, writer: Writer) -> None:
    gone, client = Broken(), Client()
    await follow(hub, gone)
    await writer.submit(write(1))
    await eventually(lambda: gone.cuts, 30, "the client is cut")
    await follow(hub, client)
    hub.leave(gone.followers["s"])
    await writer.submit(write(2))
    await arrive(client, 1)
    assert client.offsets == [2]


async def test_after_leaving_nothing_is_delivered(hub: Hub, writer: Writer) -> None:
    left, stays = Client(), Client()
    await follow(hub, left)
    await follow(hub, stays)
    hub.leave(left.followers["s"])
    await writer.submit(write(1))
    await arrive(stays, 1)
    assert left.frames == []


async def test_a_client_that_breaks_is_cut_and_the_others_go_on(hub: Hub, writer: Writer) -> None:
    broken, replaying, client = Broken(), Broken(), Client()
    await follow(hub, broken)
    await follow(hub, client)
    await writer.submit(write(1))
    await writer.submit(write(2))
    await arrive(client, 2)
    await follow(hub, replaying, uri(404), after=0)
    await follow(hub, replaying, after=0)
    await eventually(lambda: broken.cuts == replaying.cuts == 1, 30, "both are cut")
    await writer.submit(write(3))
    await arrive(client, 3)
    assert await in_database(versions, URI) == [1, 2, 3]
