"""Whoever observes the hub is told of every change of every resource once, or that some were missed."""

import asyncio
from collections.abc import Callable, Sequence

from audit_app.writer import Writer
from resources_app.hub.hub import Hub
from resources_app.log.events import LoggedEvent
from tests.resources.commands import delete, trimming, write
from tests.stack.waiting import PATIENCE, eventually

ROUNDS = 5


def uri(number: int) -> str:
    return f"resource://host{number}/a"


async def test_every_change_is_told_of_once_and_in_order_whoever_made_it(
    hub: Hub, writer: Writer, new_writer: Callable[[], Writer]
) -> None:
    seen: list[tuple[int, str]] = []

    def broken(events: Sequence[LoggedEvent] | None) -> None:
        raise ValueError("of no concern to others")

    def observe(events: Sequence[LoggedEvent] | None) -> None:
        assert events, "nothing was missed, and nobody is told of nothing"
        seen.extend((event.offset, event.type) for event in events)

    other = new_writer()
    hub.on_changes(broken)
    hub.on_changes(observe)
    for _ in range(ROUNDS):
        await asyncio.gather(*(one.submit(write(1, uri(n))) for n in range(4) for one in (writer, other)))
    await writer.submit(delete(uri(0)))
    await eventually(lambda: len(seen) == ROUNDS * 8 + 1, PATIENCE, "all changes are told of")
    assert [offset for offset, _ in seen] == list(range(1, len(seen) + 1))
    kinds = [kind for _, kind in seen]
    assert (kinds.count("created"), kinds[-1]) == (4, "deleted")


async def test_who_observes_is_told_when_changes_were_trimmed_before_they_were_read(
    sleepy_hub: Hub, new_writer: Callable[[], Writer]
) -> None:
    seen: list[Sequence[LoggedEvent] | None] = []
    sleepy_hub.on_changes(seen.append)
    other = new_writer()
    for n in range(10):
        await other.submit(write(n, uri(n)))
    await other.submit(trimming(7))
    sleepy_hub.ring()
    await eventually(lambda: sleepy_hub.position >= 10, PATIENCE, "it has read what there is")
    assert seen[0] is None
    assert [event.offset for events in seen[1:] for event in events or ()] == [7, 8, 9, 10]
