"""An update is told by what it changed, to followers that have been sent what it was based on (contract §4)."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import orjson
import pytest
from pytest import MonkeyPatch

from resources_app.hub import deltas as module
from resources_app.hub.deltas import Deltas
from resources_app.hub.followers import Following
from resources_app.hub.topics import MAX_TAIL_BYTES, Topic
from resources_app.log.deltas import delta_of
from resources_app.log.events import LoggedEvent
from resources_app.patterns import parse_pattern
from resources_app.state import Kind, OnConflict, ResourceState
from tests.resources.states import URI, event_of, state_at
from tests.stack.waiting import eventually

ALL_KINDS = frozenset({"created", "updated", "deleted"})


def delta(before: Any, after: Any, **changed: Any) -> Any:
    """The delta between two contents, as a client reads it; None: told whole."""
    made = delta_of(state_at(1, before), state_at(2, after, **changed))
    return None if made is None else orjson.loads(made)


def texts(events: Sequence[LoggedEvent], texts: Sequence[str]) -> list[str]:
    return list(texts)


def updates(*versions: int, value: Callable[[int], Any] = lambda version: {"n": version}) -> list[LoggedEvent]:
    """Updates of one resource, each with its base and its delta; offsets are those of the versions."""
    states = {version: state_at(version, value(version)) for version in range(min(versions) - 1, max(versions) + 1)}
    events = [
        LoggedEvent(type="updated", after=states[version], offset=version, base=states[version - 1])
        for version in versions
    ]
    for event in events:
        event.delta_text()
    return events


def topic_of(events: Sequence[LoggedEvent]) -> Topic:
    topic = Topic(parse_pattern(URI), ALL_KINDS, events[0].offset - 1)
    for event in events:
        topic.append(event)
    return topic


# -- what a delta is


def test_a_delta_is_a_patch_of_the_content_and_the_version_that_it_applies_to() -> None:
    changed = delta({"a": 1, "b": {"c": [1, 2]}}, {"a": 1, "b": {"c": [1, 3]}})
    assert changed == {"patch": [{"op": "replace", "path": "/b/c/1", "value": 3}], "base_version": 1}


def test_a_write_that_changes_nothing_is_an_empty_patch() -> None:
    assert delta({"a": 1}, {"a": 1}) == {"patch": [], "base_version": 1}


def test_a_delta_tells_how_a_conflict_was_settled() -> None:
    made = delta_of(state_at(1, {"a": 1}), state_at(2, {"a": 1}), OnConflict.MERGE)
    assert made is not None
    assert orjson.loads(made) == {"patch": [], "base_version": 1, "resolution": "merge"}


@pytest.mark.parametrize(
    "changed",
    [
        {"name": "b"},
        {"title": "b"},
        {"description": "b"},
        {"mime_type": "application/geo+json"},
        {"on_conflict": OnConflict.MERGE},
    ],
)
def test_a_change_of_anything_but_the_content_is_told_whole(changed: dict[str, Any]) -> None:
    assert delta({"a": 1}, {"a": 1}, **changed) is None


@pytest.mark.parametrize(("before", "after"), [(Kind.JSON, Kind.TEXT), (Kind.TEXT, Kind.JSON), (Kind.TEXT, Kind.TEXT)])
def test_text_is_told_whole(before: Kind, after: Kind) -> None:
    assert delta_of(state_at(1, "a", kind=before), state_at(2, "a", kind=after)) is None


def test_a_patch_that_is_longer_than_a_large_content_is_not_sent() -> None:
    before = {str(n): n for n in range(1000)}
    assert delta(before, {name: -n - 1 for name, n in before.items()}) is None
    assert delta({"a": before}, {"a": {name: -n - 1 for name, n in before.items()}}) is None
    assert delta(before, before | {"500": "x"}) is not None


def test_a_patch_that_is_longer_than_a_small_content_is_sent_while_it_is_shorter_than_the_resource() -> None:
    assert delta(1, 2) == {"patch": [{"op": "replace", "path": "", "value": 2}], "base_version": 1}
    assert delta({"a": 0}, {str(n): n for n in range(9)}) is None


def test_an_event_without_its_base_has_no_delta() -> None:
    event = event_of(offset=2, value={"a": 1})
    assert not event.is_comparing
    assert event.delta_text() == event.text()


@pytest.mark.parametrize("before", [None, state_at(1), state_at(3), state_at(4)])
def test_only_the_version_before_is_a_base(before: ResourceState | None) -> None:
    event = event_of(offset=3)
    event.find_base(before)
    assert event.base is None
    event.find_base(state_at(2))
    assert event.base is not None


@pytest.mark.parametrize("type", ["created", "deleted"])
def test_only_updates_have_a_base(type: str) -> None:
    event = event_of(offset=3, type=type)
    event.find_base(state_at(2))
    assert event.base is None


# -- who is sent it


@pytest.mark.parametrize("without", [{"delta": False}, {"include_content": False}, {"events": frozenset({"created"})}])
def test_deltas_are_for_those_who_ask_for_them_and_for_content(without: dict[str, Any]) -> None:
    wants: dict[str, Any] = {"subscription": "s", "pattern": parse_pattern(URI), "delta": True}
    assert Following(**wants).takes_deltas
    assert not Following(**wants | without).takes_deltas


def test_followers_that_began_at_different_times_share_a_payload_when_they_have_the_same_bases() -> None:
    topic = topic_of(updates(20, 21, 22))
    early, late = (topic.chunk(19, 10, True, began, texts) for began in (3, 18))
    lacking, plain = (topic.chunk(19, 10, True, began, texts) for began in (19, None))
    assert early is late
    assert lacking is topic.chunk(19, 10, True, 19, texts)
    assert early is not None and lacking is not None and plain is not None
    whole = ["content" in orjson.loads(text)["data"] for text in (*early.payload, *lacking.payload, *plain.payload)]
    assert whole == [False] * 3 + [True, False, False] + [True] * 3
    topic.append(*updates(23))
    more = topic.chunk(19, 10, True, 3, texts)
    assert more is not None
    assert more.last == 23


def test_followers_without_deltas_do_not_wait_for_one_and_the_others_get_it_in_its_turn() -> None:
    first, second, third = updates(20, 21, 22)
    second = replace(second, _delta_text=None)
    topic = topic_of([first, second, third])
    plain, waiting = (topic.chunk(19, 10, True, began, texts) for began in (None, 0))
    assert plain is not None and waiting is not None
    assert (plain.last, waiting.last) == (22, 20)
    assert topic.chunk(20, 10, True, 0, texts) is None
    second.delta_text()
    rest = topic.chunk(20, 10, True, 0, texts)
    assert rest is not None
    assert [orjson.loads(text)["data"]["base_version"] for text in rest.payload] == [20, 21]


def test_the_tail_counts_the_bases_that_only_it_keeps() -> None:
    """A small document after a large one is no small thing to keep."""
    large = [state_at(1, "x" * (MAX_TAIL_BYTES // 8), uri=f"{URI}/{n}") for n in range(20)]
    alone = [
        LoggedEvent(type="updated", after=state_at(2, uri=base.uri, offset=100 + n), offset=100 + n, base=base)
        for n, base in enumerate(large)
    ]
    assert len(topic_of(alone).tail) < 8
    chained = updates(*range(2, 12), value=lambda version: "x" * (MAX_TAIL_BYTES // 16))
    assert len(topic_of(chained).tail) == 10


# -- making deltas


async def test_deltas_are_made_in_order_and_told_of_when_they_are_there() -> None:
    made: list[list[int]] = []
    deltas = Deltas(lambda events: made.append([event.offset for event in events if not event.is_comparing]))
    several = [replace(event, _delta_text=None) for event in updates(2, 3, 4)]
    deltas.make([several[0], event_of(offset=9)])
    deltas.make([event_of(offset=10)])
    deltas.make(several[1:])
    assert made == []
    await eventually(lambda: len(made) == 2, 30, "all deltas are made")
    assert made == [[2], [3, 4]]


async def test_what_comes_faster_than_it_can_be_compared_is_told_whole(monkeypatch: MonkeyPatch) -> None:
    made: list[LoggedEvent] = []
    deltas = Deltas(made.extend)
    several = [replace(event, _delta_text=None) for event in updates(2, 3, 4)]
    body = len(several[0].after.body)
    monkeypatch.setattr(module, "MAX_BYTES", 5 * body)
    deltas.make(several)
    assert [event.is_comparing for event in several] == [True, True, False]
    await eventually(lambda: made, 30, "the others are made")
    again = [replace(event, _delta_text=None) for event in updates(5, 6)]
    deltas.make(again)
    await eventually(lambda: len(made) == 4, 30, "there is room again")
    assert several[2].delta_text() == several[2].text()


async def test_a_delta_that_cannot_be_made_is_told_whole() -> None:
    made: list[LoggedEvent] = []
    broken, good = (replace(event, _delta_text=None) for event in updates(2, 3))
    assert broken.base is not None
    broken.base = replace(broken.base, body=b"no JSON")
    Deltas(made.extend).make([broken, good])
    await eventually(lambda: made, 30, "they are given up")
    assert [event.delta_text() == event.text() for event in (broken, good)] == [True, True]
