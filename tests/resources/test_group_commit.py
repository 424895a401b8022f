"""A batch is one transaction: what is answered is durable, and a bad command refuses itself and nobody else."""

import asyncio
import random
import sqlite3
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from django.db import DatabaseError, OperationalError
from pytest_django import Settings

from audit_app.commands import Record
from audit_app.database import in_database
from audit_app.errors import InternalError, Refusal, TooLarge, Unavailable
from audit_app.models import OutboxEntry
from audit_app.writer import Writer
from resources_app.errors import AlreadyExists, ResourceNotFound, VersionConflict
from resources_app.models import ControlEvent, Event, Resource
from resources_app.state import OnConflict
from tests.resources.commands import (
    Faulty,
    batch,
    delete,
    entry,
    head,
    offsets,
    patch,
    stored_version,
    versions,
    write,
)
from tests.resources.states import URI, write_of
from tests.stack.outbox import entries

pytestmark = pytest.mark.django_db(transaction=True)


def uri(number: int) -> str:
    return f"resource://example.com/{number}"


async def test_what_is_answered_is_in_the_table_the_log_and_the_outbox(writer: Writer) -> None:
    (event,) = await writer.submit(write({"a": 1}))
    assert (event.offset, event.version, event.type) == (1, 1, "created")
    row = await Resource.objects.aget(uri=URI)
    assert (row.version, row.offset, bytes(row.body)) == (1, 1, b'{"a":1}')
    logged = await Event.objects.aget(offset=1)
    assert (logged.uri, logged.version, bytes(logged.body)) == (URI, 1, b'{"a":1}')
    assert await OutboxEntry.objects.acount() == 1


async def test_commands_that_come_together_share_a_batch_and_keep_their_order(writer: Writer) -> None:
    answers = await asyncio.gather(*(writer.submit(write(number)) for number in range(100)))
    assert [events[0].version for events in answers] == list(range(1, 101))
    assert [events[0].offset for events in answers] == list(range(1, 101))
    assert [events[0].type for events in answers] == ["created", *["updated"] * 99]


async def test_one_refused_command_leaves_its_neighbours_and_no_hole(writer: Writer) -> None:
    answers = await asyncio.gather(
        writer.submit(write(1)),
        writer.submit(write(2, must_be_new=True)),
        writer.submit(delete(uri(404))),
        writer.submit(write(3, base_version=7)),
        writer.submit(write(4, uri(1))),
        return_exceptions=True,
    )
    assert [type(answer) for answer in answers] == [list, AlreadyExists, ResourceNotFound, VersionConflict, list]
    assert await in_database(offsets) == [1, 2]
    found = await in_database(entries)
    assert [one["code"] for one in found] == [None, "already_exists", "resource_not_found", "version_conflict", None]
    assert [one["outcome"] for one in found] == ["success", *["refused"] * 3, "success"]


async def test_a_batch_operation_that_is_refused_undoes_the_whole_command_and_names_itself(writer: Writer) -> None:
    with pytest.raises(ResourceNotFound) as refused:
        await writer.submit(batch(write_of(1, uri(1)), write_of(2, uri(2)), *delete(uri(3)).changes))
    assert refused.value.data["operation"] == 2
    assert await in_database(offsets) == []
    events = await writer.submit(batch(write_of(1, uri(1)), write_of(2, uri(1)), *delete(uri(1)).changes))
    assert [(event.offset, event.version, event.type) for event in events] == [
        (1, 1, "created"),
        (2, 2, "updated"),
        (3, 3, "deleted"),
    ]
    row = await Resource.objects.aget(uri=uri(1))
    assert (row.version, row.deleted, row.offset) == (3, True, 3)


async def test_a_batch_of_small_patches_cannot_make_content_without_bound(writer: Writer, settings: Settings) -> None:
    settings.RESOURCE_MAX_BYTES = 1024
    await writer.submit(write({"a": "a" * 1000}))
    changes = [change for n in range(9) for change in patch({"n": n}).changes]
    assert len(await writer.submit(batch(*changes[:8]))) == 8
    with pytest.raises(TooLarge) as refused:
        await writer.submit(batch(*changes))
    assert refused.value.data["operation"] == 8
    assert await in_database(stored_version, URI) == 9


@pytest.mark.parametrize("where", ["load", "decide", "save"])
@pytest.mark.parametrize("error", [RuntimeError("broken"), DatabaseError("value too long")])
async def test_a_command_that_fails_for_ever_fails_alone(writer: Writer, where: str, error: Exception) -> None:
    bad = Faulty(where=where, errors=[error], for_ever=True)
    answers = await asyncio.gather(
        *(writer.submit(write(number, uri(number))) for number in range(5)),
        writer.submit(bad),
        *(writer.submit(write(number, uri(number))) for number in range(5, 10)),
        return_exceptions=True,
    )
    assert isinstance(answers.pop(5), InternalError)
    assert all(not isinstance(answer, BaseException) for answer in answers)
    assert await in_database(offsets) == list(range(1, 11))
    assert await in_database(head) == 10
    assert await ControlEvent.objects.acount() == 0
    done = [one["resource_id"] for one in await in_database(entries) if one["outcome"] == "success"]
    assert sorted(done) == sorted(uri(number) for number in range(10))


@pytest.mark.parametrize("message", ["database is locked", "server closed the connection unexpectedly"])
async def test_a_batch_that_fails_for_a_passing_reason_is_tried_again_as_a_whole(writer: Writer, message: str) -> None:
    slow = Faulty(where="save", errors=[OperationalError(message)] * 3)
    answers = await asyncio.gather(
        writer.submit(write(1)), writer.submit(slow), writer.submit(write(2)), writer.submit(write(3))
    )
    assert answers[1] == "done"
    assert await in_database(versions, URI) == [1, 2, 3]
    assert await in_database(offsets) == [1, 2, 3]
    assert len(await in_database(entries)) == 4
    assert await ControlEvent.objects.acount() == 1


async def test_a_json_patch_does_the_same_when_its_batch_is_tried_again(writer: Writer) -> None:
    change = patch([{"op": "add", "path": "/list", "value": []}, {"op": "add", "path": "/list/-", "value": 1}], "json")
    await writer.submit(write({}))
    slow = Faulty(where="save", errors=[OperationalError("database is locked")] * 3)
    await asyncio.gather(writer.submit(change), writer.submit(slow))
    assert bytes((await Resource.objects.aget(uri=URI)).body) == b'{"list":[1]}'


def no_room() -> OperationalError:
    """What SQLite says when its disk is full."""
    cause = sqlite3.OperationalError("database or disk is full")
    cause.sqlite_errorcode = sqlite3.SQLITE_FULL
    error = OperationalError(str(cause))
    error.__cause__ = cause
    return error


async def test_a_database_without_room_refuses_a_batch_at_once_and_says_so_once(
    writer: Writer, caplog: pytest.LogCaptureFixture
) -> None:
    """The entries of reads are refused with it: nothing is answered unaudited. The next batch finds out by itself."""
    for _ in range(3):
        # two batches at most, and each has one that finds no room
        gate = threading.Event()
        first = Faulty(where="save", errors=[no_room()], for_ever=True, gate=gate)
        full = Faulty(where="save", errors=[no_room()], for_ever=True)
        async with asyncio.timeout(9):
            waiting = [writer.submit(one) for one in (first, write(1), Record(entry=entry()), write(2), full)]
            gate.set()
            answers = await asyncio.gather(*waiting, return_exceptions=True)
        assert {type(answer) for answer in answers} == {Unavailable}
    assert await in_database(offsets) == []
    assert await in_database(entries) == []
    assert (await writer.submit(write(1)))[0].version == 1
    said = [record.getMessage() for record in caplog.records]
    assert [line.split(",")[0] for line in said] == ["the database is not available", "the database is available again"]
    assert not any(record.exc_info for record in caplog.records)


async def test_a_mistake_of_ours_is_logged_with_its_request(writer: Writer, caplog: pytest.LogCaptureFixture) -> None:
    bad = Faulty(where="save", errors=[RuntimeError("broken")], for_ever=True, entry=entry(request_id="r-42"))
    with pytest.raises(InternalError):
        await writer.submit(bad)
    (record,) = [record for record in caplog.records if record.exc_info]
    assert "r-42" in record.getMessage()


async def test_a_key_that_is_taken_for_ever_is_not_waited_for(writer: Writer) -> None:
    bad = Faulty(where="save", errors=[DatabaseError("UNIQUE constraint failed: test.id")], for_ever=True)
    refused, written = writer.submit(bad), writer.submit(write(1))
    async with asyncio.timeout(9):
        with pytest.raises(InternalError):
            await refused
        assert (await written)[0].version == 1


async def test_a_rolled_back_batch_tells_nobody(writer: Writer) -> None:
    told: list[int] = []
    writer.listen(lambda events: told.extend(event.offset for event in events))  # type: ignore[attr-defined]
    await asyncio.gather(
        *(
            writer.submit(
                batch(write_of(number, uri(number)), *delete(uri(404)).changes) if number % 2 else write(number)
            )
            for number in range(1000)
        ),
        return_exceptions=True,
    )
    assert told == list(range(1, 501))
    assert await in_database(offsets) == told


def test_offsets_have_no_gap_whoever_writes_from_which_thread(writer: Writer) -> None:
    told: list[int] = []
    writer.listen(lambda events: told.extend(event.offset for event in events))  # type: ignore[attr-defined]
    chance = random.Random(20)
    plans = [[(chance.randrange(5), chance.random() < 0.3) for _ in range(50)] for _ in range(8)]
    start = threading.Barrier(8)

    def work(plan: list[tuple[int, bool]]) -> int:
        accepted = 0
        start.wait()
        for number, is_refused in plan:
            try:
                writer.run(write(1, uri(number), base_version=10**6 if is_refused else None))
                accepted += 1
            except Refusal:
                assert is_refused
        return accepted

    with ThreadPoolExecutor(8) as threads:
        accepted = sum(threads.map(work, plans))
    assert offsets() == told == list(range(1, accepted + 1))
    assert len(entries()) == 400
    for number in range(5):
        found = versions(uri(number))
        assert found == list(range(1, len(found) + 1))


async def test_compare_and_set_counts_every_increment_once(writer: Writer) -> None:
    await writer.submit(write(0, on_conflict=OnConflict.REJECT))

    async def increment(times: int) -> int:
        refused = version = 0
        while times:
            version = version or 1
            try:
                (event,) = await writer.submit(write(version, base_version=version))
                version, times = event.version, times - 1
            except VersionConflict as conflict:
                version, refused = conflict.data["current_version"], refused + 1
        return refused

    refused = sum(await asyncio.gather(*(increment(20) for _ in range(8))))
    row = await Resource.objects.aget(uri=URI)
    assert (row.version, bytes(row.body)) == (161, b"160")
    assert len(await in_database(entries)) == 161 + refused


async def test_a_record_is_only_an_entry(writer: Writer) -> None:
    await writer.submit(Record(entry=entry("resources/read", user="bob")))
    await writer.submit(Record(entry=entry("resources/read"), refusal=ResourceNotFound()))
    found = await in_database(entries)
    assert [(one["user"], one["outcome"], one["code"]) for one in found] == [
        ("bob", "success", None),
        ("", "refused", "resource_not_found"),
    ]
    assert await in_database(head) == 0


async def test_upkeep_without_an_entry_leaves_none(writer: Writer) -> None:
    assert await writer.submit(Faulty(where="", errors=[], entry=None)) == "done"
    assert await in_database(entries) == []
