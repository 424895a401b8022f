"""Followers behind their topic's tail share what is read of the log, and each gets what it would have had alone."""

import asyncio
import random
from collections import Counter
from collections.abc import Sequence
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from audit_app.writer import Writer
from resources_app.hub.catch_up import catch_up
from resources_app.hub.followers import Follower, Following, Form
from resources_app.hub.hub import Hub
from resources_app.hub.stretches import divide
from resources_app.hub.topics import MAX_PAYLOAD_BYTES, Topic
from resources_app.log.events import LoggedEvent
from resources_app.patterns import parse_pattern
from telemetry_app.metrics import REPLAY_BYTES, REPLAY_LOADS
from tests.resources.commands import trimming, write
from tests.resources.outlets import Client, arrive, following
from tests.resources.states import event_of
from tests.stack.waiting import eventually

ALL = "resource://example.com/*"
KINDS = ["created", "updated", "deleted"]


def uri(number: int) -> str:
    return f"resource://example.com/{number}"


def texts(events: Sequence[LoggedEvent], texts: Sequence[str]) -> list[tuple[int, str]]:
    return [(event.offset, text) for event, text in zip(events, texts, strict=True)]


class Reader(Client):
    """Remembers the texts, too."""

    form: Form = staticmethod(texts)


class Observer(Client):
    """Notes how many loads there had been when it was first handed something."""

    loads: float | None = None

    async def deliver(self, subscription: str, payload: object, last: int) -> None:
        if self.loads is None:
            self.loads = loads()
        await super().deliver(subscription, payload, last)


@pytest.fixture(autouse=True)
def long_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    """What was read stays for as long as a test may take."""
    monkeypatch.setattr("resources_app.hub.replays.KEEP_SECONDS", 3600)


def loads() -> float:
    return float(REPLAY_LOADS._value.get())


def kept_bytes() -> float:
    return float(REPLAY_BYTES._value.get())


async def fill(hub: Hub, writer: Writer, count: int, *, uris: int = 1000) -> None:
    """So many changes, none of which is in the tail of any topic that is new."""
    await asyncio.gather(*(writer.submit(write(number, uri(number % uris))) for number in range(count)))
    await eventually(lambda: hub.position >= count, 30, "the hub has read all")


async def behind(hub: Hub, client: Client, after: int, pattern: str = ALL, **wants: object) -> Follower:
    """A follower that has not begun."""
    follower = client.followers["s"] = await hub.follow(following(pattern, after=after, **wants), client)
    return follower


async def test_followers_that_resume_from_one_offset_share_every_load_and_every_payload(
    hub: Hub, writer: Writer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("resources_app.hub.loads.LOAD_EVENTS", 150)
    await fill(hub, writer, 300)
    clients = [Reader() for _ in range(100)]
    followers = [await behind(hub, client, after=17) for client in clients]
    before = loads()
    for follower in followers:
        hub.begin(follower)
    for client in clients:
        await arrive(client, 283)
        assert client.offsets == list(range(18, 301))
        assert [id(frame) for frame in client.frames] == [id(frame) for frame in clients[0].frames]
    assert loads() - before == 2


async def test_followers_that_resume_from_offsets_close_to_each_other_share_loads(
    hub: Hub, writer: Writer, dice: random.Random
) -> None:
    await fill(hub, writer, 300)
    clients = [(dice.randint(100, 299), Client()) for _ in range(100)]
    followers = [await behind(hub, client, after) for after, client in clients]
    before = loads()
    for follower in followers:
        hub.begin(follower)
    for after, client in clients:
        await arrive(client, 300 - after)
        assert client.offsets == list(range(after + 1, 301))
    assert loads() - before <= 8


async def test_who_comes_a_little_later_needs_no_load_and_nothing_is_kept_for_long(
    hub: Hub, writer: Writer, monkeypatch: pytest.MonkeyPatch
) -> None:
    await fill(hub, writer, 50)
    first, second = Client(), Client()
    hub.begin(await behind(hub, first, 10))
    await arrive(first, 40)
    assert kept_bytes() > 0
    before = loads()
    hub.begin(await behind(hub, second, 5))
    await arrive(second, 45)
    assert loads() == before
    hub.replays.clear()
    assert kept_bytes() == 0
    monkeypatch.setattr("resources_app.hub.replays.KEEP_SECONDS", 0.05)
    hub.begin(await behind(hub, Client(), 0))
    await eventually(lambda: loads() > before and kept_bytes() == 0, 30, "what was read is forgotten")


async def test_what_is_kept_is_bounded_and_what_is_larger_still_arrives(
    hub: Hub, writer: Writer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("resources_app.hub.replays.KEEP_BYTES", 20_000)
    await fill(hub, writer, 200)
    clients = [Client() for _ in range(20)]
    for number, client in enumerate(clients):
        hub.begin(await behind(hub, client, number * 9))
    for number, client in enumerate(clients):
        await arrive(client, 200 - number * 9)
        assert client.offsets == list(range(number * 9 + 1, 201))
        assert kept_bytes() <= 20_000


async def test_a_client_that_does_not_read_holds_up_nobody_and_keeps_nothing(
    hub: Hub, writer: Writer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("resources_app.hub.replays.KEEP_SECONDS", 0.05)
    await fill(hub, writer, 300)
    stuck, clients = Client(gate=asyncio.Event()), [Client() for _ in range(10)]
    for client in (stuck, *clients):
        hub.begin(await behind(hub, client, 0))
    for client in clients:
        await arrive(client, 300)
    await eventually(lambda: kept_bytes() == 0, 30, "what was read is forgotten")
    assert stuck.frames == []
    assert stuck.gate is not None
    stuck.gate.set()
    await arrive(stuck, 300)
    assert stuck.offsets == list(range(1, 301))


async def test_a_crowd_on_one_topic_lets_another_topic_have_its_turn(
    hub: Hub, writer: Writer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("resources_app.hub.loads.LOAD_EVENTS", 4)
    monkeypatch.setattr("resources_app.hub.replays.NEAR_OFFSETS", 4)
    monkeypatch.setattr("resources_app.hub.replays.LOADS_AT_ONCE", 1)
    await hub.stop()
    await hub.start()
    await fill(hub, writer, 200)
    crowd, other = [Client() for _ in range(25)], Observer()
    followers = [await behind(hub, client, number * 8) for number, client in enumerate(crowd)]
    followers.append(await behind(hub, other, 0, uri(7)))
    before = loads()
    for follower in followers:
        hub.begin(follower)
    for client in (*crowd, other):
        await arrive(client, 1)
    assert other.loads is not None
    assert other.loads - before <= 3 < loads() - before


async def test_what_was_trimmed_does_not_come_from_what_was_read_before(hub: Hub, writer: Writer) -> None:
    await fill(hub, writer, 30)
    first, second = Client(), Client()
    hub.begin(await behind(hub, first, 3))
    await arrive(first, 27)
    late = await behind(hub, second, 3)
    await writer.submit(trimming(10))
    hub.begin(late)
    await eventually(lambda: second.resets, 30, "the notice arrives")
    assert (second.resets, second.offsets) == ([(10, 30)], [])


async def test_what_is_dropped_while_it_is_read_is_read_again(hub: Hub, writer: Writer) -> None:
    await fill(hub, writer, 30)
    client, before = Client(), loads()
    hub.begin(await behind(hub, client, 0))
    # any longer wait would see the end of the load
    while loads() == before:  # noqa: ASYNC110
        await asyncio.sleep(0)
    hub.replays.forget(uri(3))
    await arrive(client, 30)
    assert client.offsets == list(range(1, 31))


async def test_one_delivery_is_as_full_as_the_log_allows_whatever_others_have_read(hub: Hub, writer: Writer) -> None:
    await fill(hub, writer, 20)
    early = Client()
    hub.begin(await behind(hub, early, 0))
    await arrive(early, 20)
    hub.leave(early.followers["s"])
    await asyncio.gather(*(writer.submit(write(number)) for number in range(30)))
    await eventually(lambda: hub.position == 50, 30, "the hub has read all")
    for after, limit, count in ((0, 100, 50), (5, 10, 10), (49, 10, 1), (15, 30, 30)):
        client = Client()
        follower = await behind(hub, client, after, batch_size=limit)
        assert await catch_up(follower, hub.replays, Counter(), once=True) is None
        assert client.offsets == list(range(after + 1, after + 1 + count))
        assert len(client.frames) == 1
        hub.leave(follower)


async def test_whatever_a_follower_wants_it_gets_that_and_no_more_beside_all_others(
    hub: Hub, writer: Writer, monkeypatch: pytest.MonkeyPatch, dice: random.Random
) -> None:
    """Also while others write and the log is trimmed; deltas are applied, and come to what was written."""
    monkeypatch.setattr("resources_app.hub.loads.LOAD_EVENTS", 8)
    monkeypatch.setattr("resources_app.hub.replays.NEAR_OFFSETS", 16)
    written: dict[int, tuple[str, int]] = {}
    trimmed = 0

    async def change(count: int) -> None:
        for at, events in enumerate(
            await asyncio.gather(*(writer.submit(write({"n": n, "pad": "x" * 300}, uri(n % 5))) for n in range(count)))
        ):
            written[events[0].offset] = (uri(at % 5), at)

    await change(60)
    for turn in range(25):
        await eventually(lambda: hub.position >= len(written), 30, "the hub has read all")
        readers = []
        for _ in range(12):
            pattern = dice.choice([ALL, "resource://example.com/+", uri(dice.randrange(5))])
            kinds = frozenset(dice.sample(KINDS, dice.randint(1, 3)))
            wants: dict[str, Any] = {
                "events": kinds,
                "batch_size": dice.choice([1, 3, 1000]),
                "delta": dice.random() < 0.5,
                "include_content": dice.random() < 0.7,
            }
            after, reader = dice.randint(trimmed, hub.position), Reader()
            readers.append((pattern, wants, after, reader, await behind(hub, reader, after, pattern, **wants)))
        for *_, follower in readers:
            hub.begin(follower)
        if turn % 5 == 4:
            trimmed = max(trimmed, dice.randint(0, len(written) - 20))
            await writer.submit(trimming(trimmed + 1))
        await change(dice.randint(1, 12))
        for pattern, wants, after, reader, follower in readers:
            covers = parse_pattern(pattern).covers
            due = [
                offset
                for offset, (where, _) in sorted(written.items())
                if offset > after and covers(where) and ("created" if offset <= 5 else "updated") in wants["events"]
            ]
            told = f"{pattern} {wants} behind {after}: {due}"
            await eventually(lambda: reader.resets or reader.offsets == due, 30, told)  # noqa: B023
            assert reader.offsets == due[: len(reader.offsets)], told
            assert max(map(len, reader.frames), default=0) <= wants["batch_size"]
            prove(reader, written, bool(wants["include_content"]))
            hub.leave(follower)


def prove(reader: Reader, written: dict[int, tuple[str, int]], include_content: bool) -> None:
    """Each text tells of its change; a delta, of content that the reader has."""
    held: dict[str, dict[str, object]] = {}
    for offset, text in (entry for frame in reader.frames for entry in frame):
        event = orjson.loads(text)
        where, value = written[offset]
        assert (event["offset"], event["subject"]) == (offset, where)
        data = event["data"]
        if not include_content:
            assert "content" not in data and "patch" not in data
            continue
        if "patch" in data:
            content = held[where]
            for change in data["patch"]:
                assert (change["op"], change["path"]) == ("replace", "/n")
                content["n"] = change["value"]
        else:
            content = held[where] = data["content"]
        assert content["n"] == value


@given(data=st.data())
def test_stretches_lose_double_and_reorder_nothing(data: st.DataObject) -> None:
    offsets = data.draw(st.lists(st.integers(2, 400), unique=True, max_size=60).map(sorted))
    sizes = st.sampled_from([1, 1000, MAX_PAYLOAD_BYTES // 3, 2 * MAX_PAYLOAD_BYTES])
    events = [
        event_of(offset=offset, type=data.draw(st.sampled_from(KINDS)), value="x" * data.draw(sizes))
        for offset in offsets
    ]
    stretches = divide(events, 1, 500)
    assert [(one.after, one.upto) for one in stretches] == list(
        zip([1, *(one.upto for one in stretches)], [one.upto for one in stretches], strict=False)
    )
    assert stretches[-1].upto == 500
    for _ in range(3):
        kinds = data.draw(st.frozensets(st.sampled_from(KINDS), min_size=1))
        after, batch_size = data.draw(st.integers(1, 499)), data.draw(st.integers(1, 20))
        wanted = Following(
            subscription="s", pattern=parse_pattern(ALL), events=kinds, after=after, batch_size=batch_size
        )
        follower = Follower(wanted, Client(), Topic(wanted.pattern, kinds, 500), after)
        got: list[list[int]] = []
        while follower.cursor < 500:
            (stretch,) = [one for one in stretches if one.covers(follower.cursor)]
            portion = stretch.portion(follower)
            assert portion.cursor > follower.cursor
            if portion.chunk is not None:
                got.append([offset for offset, _ in portion.chunk.payload])
                assert portion.chunk.last == got[-1][-1]
            follower.cursor = portion.cursor
        assert [offset for frame in got for offset in frame] == [
            event.offset for event in events if event.offset > after and event.type in kinds
        ]
        assert all(len(frame) <= batch_size for frame in got)
