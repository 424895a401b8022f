"""A command that nobody waits for any more is not done, and says so on record; its neighbours are."""

import asyncio
from typing import Any

import pytest

from audit_app.commands import Record
from audit_app.database import in_database
from audit_app.deadlines import deadline, without_deadline
from audit_app.errors import DeadlineExceeded
from audit_app.writer import Writer
from resources_app.errors import ResourceNotFound
from tests.resources.commands import entry, offsets, within, write
from tests.stack.outbox import entries

pytestmark = pytest.mark.django_db(transaction=True)


async def test_what_comes_too_late_is_not_done_and_leaves_its_entry(writer: Writer) -> None:
    with within(-1):
        late = writer.submit(write(1))
    in_time = writer.submit(write(2, "resource://example.com/in-time"))
    with pytest.raises(DeadlineExceeded) as refused:
        await late
    assert refused.value.data == {"outcome": "not_done"}
    await in_time
    assert await in_database(offsets) == [1]
    # the entry of what is late may come with a batch of its own
    await writer.submit(Record(entry=entry("ping")))
    found = {one["code"]: one for one in await in_database(entries) if one["action"] == "resources/write"}
    assert found.keys() == {"deadline_exceeded", None}
    late_one = found["deadline_exceeded"]
    assert late_one["outcome"] == "error" and late_one["details"] == {"outcome": "not_done"}


async def test_an_entry_of_a_read_that_came_too_late_says_so(writer: Writer) -> None:
    with within(-1):
        read = writer.submit(Record(entry=entry("resources/read")))
        refused = writer.submit(Record(entry=entry("resources/read"), refusal=ResourceNotFound()))
    with pytest.raises(DeadlineExceeded):
        await read
    await refused
    await writer.submit(Record(entry=entry("ping")))
    reads = [one["code"] for one in await in_database(entries) if one["action"] == "resources/read"]
    assert sorted(reads) == ["deadline_exceeded", "resource_not_found"]


async def test_work_for_others_has_no_deadline() -> None:
    async def look() -> Any:
        return deadline.get()

    with within(1):
        moment = deadline.get()
        assert await asyncio.create_task(look(), context=without_deadline()) is None
        assert deadline.get() == moment
    assert deadline.get() is None
