"""Entries of reads are given a moment to gather where there are many; whoever changes anything, or is alone, is not."""

import asyncio

import pytest

from audit_app import gathering as module
from audit_app.commands import Record
from audit_app.database import in_database
from audit_app.writer import Writer
from tests.resources.commands import entry, write
from tests.resources.hold import Hold
from tests.stack.outbox import entries

TOO_LONG = 600.0
MANY = 8


def record() -> Record:
    return Record(entry=entry("resources/read"))


@pytest.fixture
def rests_long(monkeypatch: pytest.MonkeyPatch) -> None:
    """A rest lasts so long that whoever is answered was not held up by one."""
    monkeypatch.setattr(module, "REST_SECONDS", TOO_LONG)


@pytest.fixture
def batches(writer: Writer) -> list[int]:
    """How many entries each commit has brought."""
    counts: list[int] = []
    writer.count_entries(counts.append)
    return counts


async def come_together(writer: Writer) -> None:
    """Entries that have come while the writer was busy, and so share a batch."""
    with Hold(writer):
        waiting = [writer.submit(record()) for _ in range(MANY)]
    async with asyncio.timeout(30):
        await asyncio.gather(*waiting)


@pytest.mark.usefixtures("rests_long")
async def test_an_entry_that_comes_alone_is_not_held_up(writer: Writer, batches: list[int]) -> None:
    async with asyncio.timeout(30):
        for _ in range(MANY):
            await writer.submit(record())
    assert batches == [1] * MANY


@pytest.mark.usefixtures("rests_long")
async def test_a_change_is_not_held_up_and_takes_along_the_entries_that_have_gathered(
    writer: Writer, batches: list[int]
) -> None:
    await come_together(writer)
    assert batches[-1] == MANY
    batches.clear()
    waiting = [writer.submit(record()) for _ in range(4)]
    async with asyncio.timeout(30):
        await writer.submit(write(1))
        await asyncio.gather(*waiting)
    assert sum(batches) == 5


@pytest.mark.usefixtures("rests_long")
async def test_closing_ends_a_rest(writer: Writer) -> None:
    await come_together(writer)
    waiting = [writer.submit(record()) for _ in range(4)]
    await asyncio.to_thread(writer.close, 30)
    async with asyncio.timeout(30):
        await asyncio.gather(*waiting)
    assert writer.waiting == 0


async def test_a_rest_is_over_by_itself_and_every_entry_is_kept(writer: Writer) -> None:
    await come_together(writer)
    async with asyncio.timeout(30):
        await asyncio.gather(*(writer.submit(record()) for _ in range(40)))
    # that of the command which kept the writer busy is there as well
    assert len(await in_database(entries)) == 1 + MANY + 40


async def test_what_clients_send_is_kept_to_the_letter(writer: Writer) -> None:
    agent = 'é " \' \\ \0 😀 {"a": [1]} ?'
    told = entry("resources/read")
    told.user_agent = agent
    await writer.submit(Record(entry=told))
    (kept,) = await in_database(entries)
    assert kept["user_agent"] == agent
