"""The writer settles changes of old versions with what the log and the batch itself tell of those versions."""

import asyncio
import random
import threading
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import orjson
import pytest

from audit_app.database import in_database
from audit_app.errors import Refusal
from audit_app.writer import Writer
from resources_app.changes import Change, Content, Delete, Patch, Restore
from resources_app.decide import decide, rule_of_conflict
from resources_app.errors import ResourceNotFound, VersionConflict
from resources_app.log.read import read_changes
from resources_app.models import Event
from resources_app.queries import stored_state
from resources_app.state import Kind, OnConflict, ResourceState, encode
from resources_app.store import ChangeResources
from tests.resources.commands import batch, entry, write
from tests.resources.states import AT, URI, write_of
from tests.stack.outbox import entries

pytestmark = pytest.mark.django_db(transaction=True)

MERGE, REJECT = OnConflict.MERGE, OnConflict.REJECT


def command(change: Change) -> ChangeResources:
    return ChangeResources(changes=[change], entry=entry(resource_id=change.uri))


async def commit_together(writer: Writer, commands: Sequence[ChangeResources]) -> list[Any]:
    """Results or refusals of commands that come to the writer while it is busy, so that they share a batch."""
    is_busy, may_go_on = threading.Event(), threading.Event()

    def hold(events: Sequence[Any]) -> None:
        is_busy.set()
        may_go_on.wait(10)

    writer.listen(hold)
    try:
        busy = writer.submit(write(0, "resource://example.com/busy"))
        await asyncio.to_thread(is_busy.wait, 10)
        answers = asyncio.gather(*(writer.submit(one) for one in commands), return_exceptions=True)
        may_go_on.set()
        await busy
        return await answers
    finally:
        writer.unlisten(hold)


async def content(uri: str = URI) -> Any:
    state = await in_database(stored_state, uri)
    assert state is not None
    return orjson.loads(state.body)


async def test_a_stale_write_is_merged_with_its_base_from_the_log(writer: Writer) -> None:
    await writer.submit(write({"a": 1, "b": 1}, on_conflict=MERGE))
    await writer.submit(write({"a": 2, "b": 1}))
    (event,) = await writer.submit(write({"a": 1, "b": 2}, base_version=1))
    assert (event.version, event.resolution) == (3, MERGE)
    assert await content() == {"a": 2, "b": 2}
    with pytest.raises(VersionConflict) as refused:
        await writer.submit(write({"a": 5, "b": 1}, base_version=1))
    assert refused.value.data["conflicting_paths"] == ["/a"]


async def test_a_base_far_back_is_found(writer: Writer) -> None:
    await writer.submit(write({"n": 0, "kept": 0}, on_conflict=MERGE))
    for other in ("resource://example.com/0", "resource://example.com/b"):
        await asyncio.gather(
            *(writer.submit(write({"n": n, "kept": 0}, uri)) for n in range(50) for uri in (URI, other))
        )
    (event,) = await writer.submit(write({"n": 0, "kept": 1}, base_version=1))
    assert (event.version, await content()) == (102, {"n": 49, "kept": 1})


@pytest.mark.parametrize("rule", list(OnConflict))
async def test_the_resolution_stands_in_the_event_the_log_and_the_trail_but_not_in_the_resource(
    writer: Writer, rule: OnConflict
) -> None:
    await writer.submit(write({"a": 1}, on_conflict=rule))
    await writer.submit(write({"a": 1, "b": 1}))
    stale = write({"a": 1, "c": 1}, base_version=1)
    (answer,) = await commit_together(writer, [stale])
    told = (await in_database(entries))[-1]
    assert told["details"]["resolution"] == rule
    logged = [event for event in await in_database(read_changes, 0, 10) if event.uri == URI]
    if rule is REJECT:
        assert answer.data["resolution"] == "reject"
        assert told["details"] == answer.data
        assert len(logged) == 2
        return
    assert told["details"] == {"change": "updated", "version": 3, "resolution": rule.value}
    cloud_event = orjson.loads(answer[0].text())
    assert (cloud_event["resolution"], cloud_event["data"]["resolution"]) == (rule, rule)
    assert orjson.loads(logged[2].text()) == cloud_event
    assert all("resolution" not in event.text() for event in logged[:2])
    state = await in_database(stored_state, URI)
    assert state is not None
    assert b"resolution" not in encode(state)


async def test_the_base_may_be_a_version_that_the_same_batch_has_made(writer: Writer) -> None:
    await writer.submit(write({"n": 0}, on_conflict=MERGE))
    answers = await commit_together(
        writer,
        [
            write({"n": 0, "a": 1}),
            command(Patch(uri=URI, patch={"b": 1}, base_version=2)),
            write({"n": 0, "a": 1, "c": 1}, base_version=2),
            write({"n": 9, "a": 1}, base_version=2),
            write({"n": 8, "a": 1, "b": 1}, base_version=3),
            write({"n": 7}, base_version=7),
        ],
    )
    assert [type(answer) for answer in answers] == [list, list, list, list, VersionConflict, VersionConflict]
    assert answers[4].data["conflicting_paths"] == ["/n"]
    assert answers[5].data["base_unknown"] is True
    assert await content() == {"n": 9, "a": 1, "b": 1, "c": 1}


async def test_the_operations_of_a_batch_may_be_based_on_each_other(writer: Writer) -> None:
    events = await writer.submit(
        batch(
            write_of({"a": 1}, on_conflict=MERGE),
            Patch(uri=URI, patch={"b": 1}),
            Patch(uri=URI, patch={"c": 1}, base_version=1),
            Restore(uri=URI, version=1),
        )
    )
    assert [event.resolution for event in events] == [None, None, MERGE, None]
    assert [orjson.loads(event.after.body) for event in events][2:] == [{"a": 1, "b": 1, "c": 1}, {"a": 1}]
    told = await in_database(entries)
    assert [change.get("resolution") for change in told[0]["details"]["changes"]] == [None, None, "merge", None]


async def test_what_a_refused_command_made_is_no_base(writer: Writer) -> None:
    await writer.submit(write({"a": 1}, on_conflict=MERGE))
    refused, merged = await commit_together(
        writer,
        [
            batch(write_of({"a": 2}), Delete(uri="resource://example.com/missing")),
            batch(write_of({"a": 3}), Patch(uri=URI, patch={"b": 1}, base_version=2)),
        ],
    )
    assert isinstance(refused, ResourceNotFound)
    assert [event.version for event in merged] == [2, 3]
    assert await content() == {"a": 3, "b": 1}


@pytest.mark.parametrize("rule", [MERGE, REJECT])
async def test_a_base_that_has_been_trimmed_is_unknown(writer: Writer, rule: OnConflict) -> None:
    for n in range(3):
        await writer.submit(write({"n": n}, on_conflict=rule))
    await in_database(Event.objects.filter(offset__lte=1).delete)
    for base, unknown in ((1, True), (2, None)):
        with pytest.raises(VersionConflict) as refused:
            await writer.submit(write({"n": 9}, base_version=base))
        assert refused.value.data.get("base_unknown") is unknown
    with pytest.raises(ResourceNotFound) as missing:
        await writer.submit(command(Restore(uri=URI, version=1)))
    assert missing.value.data["version"] == 1
    assert (await writer.submit(command(Restore(uri=URI, version=2))))[0].version == 4


async def test_a_deleted_resource_is_restored_as_a_new_change(writer: Writer) -> None:
    await writer.submit(write({"n": 1}, title="t"))
    await writer.submit(write({"n": 2}, title="u"))
    await writer.submit(command(Delete(uri=URI)))
    (event,) = await writer.submit(command(Restore(uri=URI, version=1)))
    assert (event.version, event.type, event.after.title) == (4, "created", "t")
    assert await content() == {"n": 1}
    with pytest.raises(ResourceNotFound):
        await writer.submit(command(Restore(uri=URI, version=3)))


class Model:
    """What the resources must be, by `decide` with all that the log keeps of them."""

    def __init__(self) -> None:
        self.now: dict[str, ResourceState] = {}
        self.kept: dict[str, dict[int, ResourceState]] = {}

    def commit(self, command: ChangeResources) -> list[tuple[ResourceState, OnConflict | None]] | Refusal:
        now, kept = dict(self.now), {uri: dict(states) for uri, states in self.kept.items()}
        made = []
        for change in command.changes:
            before = now.get(change.uri)
            versions = kept.setdefault(change.uri, {})
            try:
                after = decide(change, before, AT, versions)
            except Refusal as refusal:
                return refusal
            made.append((after, rule_of_conflict(change, before)))
            now[change.uri] = versions[after.version] = after
        self.now, self.kept = now, kept
        return made

    def trim(self, uri: str, below: int) -> None:
        present = self.now[uri].version
        self.kept[uri] = {n: state for n, state in self.kept[uri].items() if n >= below or n == present}


class Chance:
    """Changes at random of two resources, often of old versions."""

    def __init__(self, seed: int, model: Model) -> None:
        self.random = random.Random(seed)
        self.model = model

    def commands(self) -> list[ChangeResources]:
        return [
            batch(*(self.change() for _ in range(self.random.randint(1, 4))))
            if self.random.random() < 0.3
            else command(self.change())
            for _ in range(self.random.randint(1, 8))
        ]

    def change(self) -> Change:
        uri = self.random.choice([URI, URI, "resource://example.com/b"])
        version = self.model.now[uri].version if uri in self.model.now else 0
        earlier = [None, version, *range(max(version - 3, 0), version + 3)]
        based: dict[str, Any] = {
            "uri": uri,
            "base_version": self.random.choice(earlier),
            "on_conflict": self.random.choice([None, MERGE, *OnConflict]),
        }
        kind = self.random.random()
        if kind < 0.03:
            return Delete(**based)
        if kind < 0.15:
            return Restore(**based, version=self.random.choice(earlier) or 1)
        if kind < 0.5:
            return Patch(**based, patch={self.random.choice("abc"): self.random.choice([None, 1, 2])})
        change = write_of(
            self.value(uri, based["base_version"]), **based, title=self.random.choice([None, None, "t", "u"])
        )
        if kind < 0.6:
            return replace(change, content=Content(kind=Kind.TEXT, body=self.random.choice([b"x", b"y"]), size=1))
        return change

    def value(self, uri: str, base: int | None) -> Any:
        """What the base holds, with one thing changed."""
        state = self.model.kept.get(uri, {}).get(base or 0)
        value = orjson.loads(state.body) if state is not None and state.kind is Kind.JSON and state.body else {}
        if self.random.random() < 0.3:
            return value | {"list": [n for n in range(5) if self.random.random() < 0.8]}
        return value | {self.random.choice("abcdef"): self.random.choice([1, 2])}


def told(state: ResourceState) -> Any:
    """What is compared of a state: all but its moments and its place in the log."""
    return replace(state, created_at=AT, updated_at=AT, offset=0)


@pytest.mark.parametrize("seed", range(8))
async def test_however_changes_share_batches_they_come_to_what_they_come_to_alone(writer: Writer, seed: int) -> None:
    model = Model()
    chance = Chance(seed, model)
    merged = 0
    for _ in range(40):
        commands = chance.commands()
        answers = await commit_together(writer, commands)
        for one, answer in zip(commands, answers, strict=True):
            expected = model.commit(one)
            if isinstance(expected, Refusal):
                assert isinstance(answer, Refusal), (one, expected.data)
                assert {**answer.data, "operation": 0} == {**expected.data, "operation": 0}
                assert answer.code == expected.code
            else:
                assert not isinstance(answer, BaseException), (one, answer)
                assert [(told(event.after), event.resolution) for event in answer] == [
                    (told(after), resolution) for after, resolution in expected
                ]
                merged += sum(resolution is MERGE for _, resolution in expected)
        if chance.random.random() < 0.1 and URI in model.now:
            below = chance.random.randint(1, model.now[URI].version)
            await in_database(Event.objects.filter(uri=URI, version__lt=below).delete)
            model.trim(URI, below)
    assert merged > 4
    for uri, state in model.now.items():
        stored = await in_database(stored_state, uri)
        assert stored is not None
        assert told(stored) == told(state)
