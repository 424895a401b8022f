"""A client that takes deltas knows every version that it was told of, whatever happens on the way."""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import timedelta
from random import Random

import orjson
from hypothesis import given, settings
from hypothesis import strategies as st
from pytest import MonkeyPatch

from audit_app.database import in_database
from audit_app.writer import Writer
from resources_app.cache import ENTRY_OVERHEAD_BYTES, ReadCache
from resources_app.changes import Change, Content, Delete, Write
from resources_app.decide import decide
from resources_app.errors import ResourceNotFound
from resources_app.hub.bases import find_bases, texts_for
from resources_app.hub.followers import Follower, Following, Form
from resources_app.hub.hub import Hub
from resources_app.hub.topics import Topic, Topics
from resources_app.log.events import LoggedEvent
from resources_app.log.read import read_changes
from resources_app.patterns import parse_pattern
from resources_app.state import Kind, ResourceState
from resources_app.store import ChangeResources
from tests.resources.commands import delete, write
from tests.resources.json_values import edited, values
from tests.resources.outlets import Client, arrive, following
from tests.resources.states import AT, write_of
from tests.stack.replica import Replica, told

ALL_KINDS = frozenset({"created", "updated", "deleted"})
PATTERN = "resource://example.com/*"
URIS = tuple(f"resource://example.com/{name}" for name in "abc")


def texts(events: Sequence[LoggedEvent], texts: Sequence[str]) -> list[str]:
    return list(texts)


class World:
    """A log of resources with the parts of a hub that deal with deltas; time passes only between changes."""

    def __init__(self, cache_bytes: int) -> None:
        self.cache = ReadCache(cache_bytes)
        self.topics = Topics()
        self.log: list[LoggedEvent] = []
        self.states: dict[str, ResourceState] = {}
        self.comparing: list[LoggedEvent] = []
        self.at = AT

    @property
    def position(self) -> int:
        return len(self.log)

    def change(self, change: Change) -> None:
        before = self.states.get(change.uri)
        after = replace(decide(change, before, self.at), offset=self.position + 1)
        was_there = before is not None and not before.deleted
        kind = "deleted" if after.deleted else "updated" if was_there else "created"
        event = LoggedEvent(type=kind, after=after, offset=after.offset)
        self.states[change.uri] = after
        self.log.append(event)
        self.topics.take(event, self.cache.apply(after))
        self.comparing.append(event)

    def compare(self) -> None:
        for event in self.comparing:
            event.delta_text()
        self.comparing.clear()

    def follow(self, following: Following) -> "Reader":
        topic = self.topics.of(following, self.position)
        cursor = self.position if following.after is None else following.after
        reader = Reader(Follower(following, Client(), topic, cursor))
        topic.add(reader.follower)
        return reader


class Reader:
    """A follower, and what its client knows by it."""

    def __init__(self, follower: Follower) -> None:
        self.follower = follower
        self.start = follower.cursor
        self.replica = Replica()
        self.offsets: list[int] = []

    def serve(self, world: World, portion: int) -> None:
        """Deliver all there is: so many events of the log at a time behind the topic's tail, then what is in it."""
        follower, topic = self.follower, self.follower.topic
        while follower.cursor < topic.floor:
            behind = [event for event in world.log[follower.cursor :] if covers(topic, event)][:portion]
            read = [LoggedEvent(type=event.type, after=event.after, offset=event.offset) for event in behind]
            find_bases(read)
            wanted = [event for event in read if event.type in topic.events]
            self.take(texts_for(wanted, topic.events, follower.include_content, follower.began))
            follower.cursor = read[-1].offset if read else world.position
        while chunk := topic.chunk(
            follower.cursor, follower.batch_size, follower.include_content, follower.began, texts
        ):
            follower.cursor = chunk.last
            self.take(chunk.payload)

    def take(self, texts: Sequence[str]) -> None:
        for event in map(orjson.loads, texts):
            self.offsets.append(event["offset"])
            self.replica.take(event)

    def check(self, world: World) -> None:
        """The client knows every version that it should, and knows it as it is."""
        topic = self.follower.topic
        due = [event for event in world.log if event.offset > self.start and covers(topic, event)]
        due = [event for event in due if event.type in topic.events]
        assert self.offsets == [event.offset for event in due]
        for event in due:
            whole = orjson.loads(event.text())["data"]
            assert told(self.replica.versions[event.uri, event.version]) == told(whole)


def covers(topic: Topic, event: LoggedEvent) -> bool:
    return not topic.pattern.is_exact or topic.pattern.prefix == event.uri


@st.composite
def changes(draw: st.DrawFn, world: World) -> Change:
    """Any change of any resource; most of them edit a part of the content."""
    uri = draw(st.sampled_from(URIS))
    before = world.states.get(uri)
    if before is None or before.deleted:
        return write_of(draw(values()), uri)
    match draw(st.integers(0, 9)):
        case 0:
            return Delete(uri=uri)
        case 1:
            return Write(uri=uri, content=Content(kind=Kind.TEXT, body=b"a", size=1))
        case 2:
            return write_of(draw(values()), uri, title=draw(st.sampled_from("ab")))
    old = orjson.loads(before.body) if before.kind is Kind.JSON else None
    return write_of(draw(edited(old)), uri)


FOLLOWINGS = st.builds(
    Following,
    subscription=st.just("s"),
    pattern=st.sampled_from([parse_pattern(PATTERN), parse_pattern(URIS[0])]),
    events=st.sampled_from([ALL_KINDS, frozenset({"created", "updated"}), frozenset({"updated"})]),
    batch_size=st.integers(1, 5),
    delta=st.sampled_from([True, True, False]),
)


@given(st.data())
@settings(max_examples=150)
def test_whatever_happens_every_client_knows_every_version_it_was_told_of(data: st.DataObject) -> None:
    """Over interleaved resources, dropped tails, evicted cache entries, late deltas and replays from anywhere."""
    world, readers = World(data.draw(st.integers(1, 4)) * (ENTRY_OVERHEAD_BYTES + 100)), []
    with MonkeyPatch.context() as patch:
        patch.setattr("resources_app.hub.topics.MAX_TAIL_EVENTS", data.draw(st.integers(1, 12)))
        for step in data.draw(st.lists(st.sampled_from("fccccccvvss"), min_size=20, max_size=60)):
            if step == "c":
                world.at += data.draw(st.integers(0, 1)) * timedelta(seconds=1)
                world.change(data.draw(changes(world)))
            elif step == "v":
                world.compare()
            elif step == "f":
                after = data.draw(st.none() | st.integers(0, world.position))
                readers.append(world.follow(replace(data.draw(FOLLOWINGS), after=after)))
            elif readers:
                data.draw(st.sampled_from(readers)).serve(world, data.draw(st.integers(1, 5)))
        world.compare()
        for reader in readers:
            reader.serve(world, 3)
            reader.check(world)


def test_bases_are_kept_for_nobody_but_followers_that_have_been_sent_them() -> None:
    world = World(10**6)
    plain = Following(subscription="s", pattern=parse_pattern(PATTERN))
    world.follow(plain)
    world.change(write_of(1, URIS[0]))
    world.change(write_of(2, URIS[0]))
    world.follow(replace(plain, delta=True))
    world.change(write_of(3, URIS[0]))
    world.follow(replace(plain, delta=True))
    world.change(write_of(4, URIS[0]))
    assert [event.base is not None for event in world.log] == [False, False, False, True]


# -- the same with a real log


def numbered(events: Sequence[LoggedEvent], texts: Sequence[str]) -> list[tuple[int, str]]:
    return [(event.offset, text) for event, text in zip(events, texts, strict=True)]


class Textual(Client):
    """Is handed the texts of its events."""

    form: Form = staticmethod(numbered)


async def test_replicas_on_a_live_hub_are_the_log(
    hub: Hub, writer: Writer, new_writer: Callable[[], Writer], monkeypatch: MonkeyPatch, dice: Random
) -> None:
    """Two writers, one of another process; clients that come at any time from anywhere, some of them slow."""
    monkeypatch.setattr("resources_app.hub.topics.MAX_TAIL_EVENTS", 16)
    writers, clients = (writer, new_writer()), []
    for _round in range(30):
        changing = [dice.choice(writers).submit(some_change(dice)) for _ in range(10)]
        results = await asyncio.gather(*changing, return_exceptions=True)
        assert {type(result) for result in results} <= {list, ResourceNotFound}, results
        wants = {"delta": True, "after": dice.choice([None, dice.randint(0, hub.position)])}
        kinds = dice.choice([ALL_KINDS, frozenset({"updated"})])
        client = Textual(gate=asyncio.Event())
        assert client.gate is not None
        follower = await hub.follow(following(dice.choice([PATTERN, URIS[0]]), events=kinds, **wants), client)
        clients.append((follower, follower.cursor, client))
        hub.begin(follower)
        for _, _, other in clients:
            assert other.gate is not None
            (other.gate.set if dice.random() < 0.7 else other.gate.clear)()
    log = await in_database(read_changes, 0, 10_000)
    deltas = 0
    for follower, start, client in clients:
        assert client.gate is not None
        client.gate.set()
        due = [event for event in log if event.offset > start and event.type in follower.topic.events]
        due = [event for event in due if covers(follower.topic, event)]
        await arrive(client, len(due))
        assert client.offsets == [event.offset for event in due]
        replica = Replica()
        for (_, text), event in zip((item for frame in client.frames for item in frame), due, strict=True):
            replica.take(orjson.loads(text))
            whole = orjson.loads(event.text())["data"]
            assert told(replica.versions[event.uri, event.version]) == told(whole)
        deltas += replica.deltas
    assert deltas > 100


async def test_a_replay_has_deltas_on_what_it_has_replayed(hub: Hub, writer: Writer) -> None:
    for number in range(5):
        await writer.submit(write({"n": number, "fixed": "x" * 100}, URIS[0]))
    client = Textual()
    hub.begin(await hub.follow(following(PATTERN, after=1, delta=True), client))
    await arrive(client, 4)
    data = [orjson.loads(text)["data"] for frame in client.frames for _, text in frame]
    assert [one.get("base_version") for one in data] == [None, 2, 3, 4]


def some_change(dice: Random) -> ChangeResources:
    uri = dice.choice(URIS)
    match dice.randrange(20):
        case 0:
            return delete(uri)
        case 1:
            return write(dice.random(), uri, title=dice.choice("ab"))
    content = {"n": dice.randrange(100), "fixed": "x" * 100, "list": [dice.randrange(3) for _ in range(9)]}
    return write(content, uri)
