"""A topic holds every matching event above its floor, within its bounds, and shares what it joins."""

from collections.abc import Sequence

import pytest

from resources_app.hub import topics as module
from resources_app.hub.followers import Following
from resources_app.hub.topics import MAX_PAYLOAD_BYTES, MAX_TAIL_BYTES, MAX_TAIL_EVENTS, Topic, Topics
from resources_app.log.events import LoggedEvent
from resources_app.patterns import parse_pattern
from tests.resources.states import URI, event_of

ALL = frozenset({"created", "updated", "deleted"})


def offsets(events: Sequence[LoggedEvent], texts: Sequence[str]) -> list[int]:
    return [event.offset for event in events]


def topic_with(*events: int, floor: int = 0, value: object = None) -> Topic:
    topic = Topic(parse_pattern(URI), ALL, floor)
    for offset in events:
        topic.append(event_of(offset=offset, value=value))
    return topic


def following(pattern: str = URI, events: frozenset[str] = ALL) -> Following:
    return Following(subscription="s", pattern=parse_pattern(pattern), events=events)


def test_a_chunk_follows_the_cursor_and_ends_at_the_limit() -> None:
    topic = topic_with(3, 5, 9)
    chunk = topic.chunk(3, 1, True, None, offsets)
    assert chunk is not None
    assert (chunk.payload, chunk.last, chunk.count) == ([5], 5, 1)
    whole = topic.chunk(0, 10, True, None, offsets)
    assert whole is not None
    assert (whole.payload, whole.last) == ([3, 5, 9], 9)


@pytest.mark.parametrize("cursor", [9, 10])
def test_there_is_no_chunk_where_nothing_follows(cursor: int) -> None:
    assert topic_with(3, 9).chunk(cursor, 10, True, None, offsets) is None
    assert topic_with(floor=5).chunk(5, 10, True, None, offsets) is None


def test_followers_with_the_same_cursor_share_one_payload() -> None:
    topic = topic_with(1, 2)
    assert topic.chunk(0, 10, True, None, offsets) is topic.chunk(0, 10, True, None, offsets)
    assert topic.chunk(0, 10, True, None, offsets) is not topic.chunk(0, 10, False, None, offsets)
    assert topic.chunk(0, 10, True, None, offsets) is not topic.chunk(0, 1, True, None, offsets)
    before = topic.chunk(0, 10, True, None, offsets)
    topic.append(event_of(offset=3))
    after = topic.chunk(0, 10, True, None, offsets)
    assert before is not None and after is not None
    assert (before.payload, after.payload) == ([1, 2], [1, 2, 3])


def test_a_chunk_is_bounded_in_bytes_but_never_empty() -> None:
    large = "x" * (MAX_PAYLOAD_BYTES // 2 - module.EVENT_OVERHEAD_BYTES - 2)
    topic = topic_with(1, 2, 3, value=large)
    chunk = topic.chunk(0, 10, True, None, offsets)
    assert chunk is not None
    assert chunk.payload == [1, 2]
    alone = topic_with(1, 2, value="x" * (2 * MAX_PAYLOAD_BYTES)).chunk(0, 10, True, None, offsets)
    assert alone is not None
    assert alone.payload == [1]


def test_the_tail_is_bounded_and_its_floor_is_the_last_that_was_dropped() -> None:
    topic = topic_with(*range(1, MAX_TAIL_EVENTS + 2))
    assert len(topic.tail) <= MAX_TAIL_EVENTS
    assert topic.tail[0].offset == topic.floor + 1
    assert topic.last == MAX_TAIL_EVENTS + 1


def test_the_tail_is_bounded_in_bytes() -> None:
    topic = topic_with(*range(1, 41), value="x" * (MAX_TAIL_BYTES // 10))
    assert sum(module.size_of(event) for event in topic.tail) <= MAX_TAIL_BYTES
    assert topic.tail[0].offset == topic.floor + 1


def test_one_event_larger_than_the_tail_leaves_it_to_the_log() -> None:
    topic = topic_with(7, value="x" * (2 * MAX_TAIL_BYTES))
    assert (topic.tail, topic.floor, topic.last) == ([], 7, 7)


def test_a_restart_forgets_the_tail() -> None:
    topic = topic_with(1, 2)
    topic.restart(8)
    assert (topic.floor, topic.last, topic.tail) == (8, 8, [])
    assert topic.chunk(8, 10, True, None, offsets) is None
    topic.append(event_of(offset=9))
    chunk = topic.chunk(8, 10, True, None, offsets)
    assert chunk is not None
    assert chunk.payload == [9]


def test_an_event_goes_to_the_topics_that_want_its_type() -> None:
    topics = Topics()
    made = topics.of(following(events=frozenset({"created"})), 0)
    gone = topics.of(following(events=frozenset({"deleted"})), 0)
    every = topics.of(following("resource://example.com/*"), 0)
    assert set(topics.matching(event_of(type="created"))) == {made, every}
    assert set(topics.matching(event_of(type="deleted"))) == {gone, every}
    assert set(topics.matching(event_of("resource://example.com/other"))) == {every}


@pytest.mark.parametrize("pattern", [URI, "resource://example.com/*"])
def test_a_topic_that_is_dropped_twice_takes_no_other_with_it(pattern: str) -> None:
    topics = Topics()
    old = topics.of(following(pattern), 0)
    topics.drop(old)
    new = topics.of(following(pattern), 0)
    topics.drop(old)
    assert list(topics.matching(event_of())) == [new]
    topics.drop(new)
    topics.drop(new)
    assert list(topics) == []
    assert list(topics.matching(event_of())) == []
