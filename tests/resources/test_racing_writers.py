"""Writers of several processes share one log: nothing is lost, doubled or numbered twice."""

import asyncio
from collections.abc import Callable

from audit_app.database import in_database
from audit_app.errors import Refusal
from audit_app.writer import Writer
from resources_app.errors import AlreadyExists, VersionConflict
from resources_app.queries import stored_state
from resources_app.state import OnConflict
from tests.resources.commands import batch, offsets, stored_version, versions, write
from tests.resources.states import URI, write_of
from tests.stack.outbox import entries


def uri(number: int) -> str:
    return f"resource://example.com/{number}"


async def test_writers_that_race_for_a_new_uri_agree_on_who_created_it(new_writer: Callable[[], Writer]) -> None:
    writers = [new_writer() for _ in range(4)]
    for number in range(25):
        answers = await asyncio.gather(
            *(one.submit(write(n, uri(number), must_be_new=n % 2 == 0)) for n, one in enumerate(writers)),
            return_exceptions=True,
        )
        changed = [answer[0] for answer in answers if not isinstance(answer, BaseException)]
        refused = [answer for answer in answers if isinstance(answer, BaseException)]
        assert all(isinstance(one, AlreadyExists) for one in refused)
        assert [event.type for event in sorted(changed, key=lambda event: event.version)] == [
            "created",
            *["updated"] * (len(changed) - 1),
        ]
        assert await in_database(versions, uri(number)) == list(range(1, len(changed) + 1))
    found = await in_database(offsets)
    assert found == list(range(1, len(found) + 1))
    assert len(await in_database(entries)) == 100


async def test_writers_that_race_for_one_resource_count_every_change(new_writer: Callable[[], Writer]) -> None:
    writers = [new_writer() for _ in range(4)]
    await asyncio.gather(*(one.submit(write(n)) for n in range(50) for one in writers))
    assert await in_database(versions, URI) == list(range(1, 201))
    assert await in_database(offsets) == list(range(1, 201))
    assert await in_database(stored_version, URI) == 200


async def test_compare_and_set_is_exact_over_writers(new_writer: Callable[[], Writer]) -> None:
    writers = [new_writer() for _ in range(4)]
    await writers[0].submit(write(0, on_conflict=OnConflict.REJECT))

    async def increment(one: Writer, times: int) -> None:
        version = 1
        while times:
            try:
                (event,) = await one.submit(write(version, base_version=version))
                version, times = event.version, times - 1
            except VersionConflict as conflict:
                version = conflict.data["current_version"]

    await asyncio.gather(*(increment(one, 15) for one in writers))
    state = await in_database(stored_state, URI)
    assert state is not None
    assert (state.version, state.body) == (61, b"60")


async def test_batches_over_the_same_resources_are_whole_and_never_deadlock(
    new_writer: Callable[[], Writer],
) -> None:
    writers = [new_writer() for _ in range(3)]

    async def change(one: Writer, number: int, order: range) -> None:
        try:
            await one.submit(batch(*(write_of(number, uri(n)) for n in order)))
        except Refusal as refusal:
            raise AssertionError(refusal.message) from refusal

    await asyncio.gather(
        *(
            change(one, number, range(5) if (n + number) % 2 else range(4, -1, -1))
            for number in range(20)
            for n, one in enumerate(writers)
        )
    )
    assert await in_database(offsets) == list(range(1, 301))
    for number in range(5):
        assert await in_database(versions, uri(number)) == list(range(1, 61))
