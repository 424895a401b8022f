"""The writer takes commands from loops and threads, bounds what waits, and finishes it before it ends."""

import asyncio
import gc
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from audit_app import writer as module
from audit_app.bulk import PostgreSQL, SQLite
from audit_app.database import in_database
from audit_app.errors import Refusal, Unavailable
from audit_app.writer import Writer
from resources_app.errors import AlreadyExists, VersionConflict
from tests.resources.commands import head, offsets, write
from tests.resources.hold import Hold
from tests.resources.states import URI
from tests.stack.outbox import entries
from tests.stack.waiting import wait_until


def test_a_thread_without_a_loop_gets_its_answer_or_its_refusal(writer: Writer) -> None:
    (event,) = writer.run(write(1))
    assert event.offset == 1
    with pytest.raises(AlreadyExists):
        writer.run(write(1, must_be_new=True))


def test_what_waits_is_bounded_and_what_was_taken_is_kept(writer: Writer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_WAITING", 3)
    with ThreadPoolExecutor(3) as threads, Hold(writer):
        taken = [threads.submit(writer.run, write(number)) for number in range(3)]
        wait_until(lambda: writer.waiting == 3, 30, "three commands wait")
        with pytest.raises(Unavailable) as refused:
            writer.run(write(4))
        assert refused.value.retry_after
    assert sorted(future.result(10)[0].version for future in taken) == [1, 2, 3]
    assert writer.run(write(5))[0].version == 4


def test_a_caller_that_does_not_wait_long_enough_hears_so_and_the_command_goes_on(writer: Writer) -> None:
    with Hold(writer), pytest.raises(TimeoutError):
        writer.run(write(1), timeout=0.05)
    wait_until(lambda: head() == 1, 30, "the command is committed")


def test_closing_commits_what_waits(writer: Writer) -> None:
    with ThreadPoolExecutor(20) as threads:
        with Hold(writer):
            taken = [threads.submit(writer.run, write(number)) for number in range(20)]
            wait_until(lambda: writer.waiting == 20, 30, "twenty commands wait")
            closing = threads.submit(writer.close)
        closing.result(10)
        assert writer.waiting == 0
        assert sorted(future.result(10)[0].offset for future in taken) == list(range(1, 21))


def test_a_closed_writer_works_again_when_it_is_asked_to(writer: Writer) -> None:
    writer.close()
    for version in range(1, 4):
        assert writer.run(write(version))[0].version == version
        writer.close()
        writer.close()


def test_closing_while_others_submit_loses_nothing_and_leaves_one_thread(writer: Writer) -> None:
    stop = threading.Event()

    def submit() -> int:
        count = 0
        while not stop.is_set():
            writer.run(write(count), timeout=10)
            count += 1
        return count

    with ThreadPoolExecutor(4) as threads:
        counts = [threads.submit(submit) for _ in range(4)]
        until = time.monotonic() + 2
        while time.monotonic() < until:
            # others may keep it at work for longer; it ends by itself then, and the last one still waits for that
            writer.close(timeout=0.5)
        stop.set()
        total = sum(future.result(20) for future in counts)
    assert offsets() == list(range(1, total + 1))
    writer.close()
    assert "writer" not in {thread.name for thread in threading.enumerate()}


def test_a_listener_that_fails_ends_nothing(writer: Writer) -> None:
    told: list[int] = []

    def fail(events: object) -> None:
        raise RuntimeError("the loop is closed")

    writer.listen(fail)
    writer.listen(lambda events: told.append(len(events)))
    for version in range(1, 4):
        assert writer.run(write(version))[0].version == version
    assert told == [1, 1, 1]


def test_a_loop_that_ended_before_its_answer_ends_nothing(writer: Writer) -> None:
    async def leave() -> None:
        writer.submit(write(1))

    with Hold(writer):
        asyncio.run(leave())
    assert writer.run(write(2))[0].version == 2


async def test_a_caller_that_is_cancelled_hinders_nobody(writer: Writer) -> None:
    future = writer.submit(write(1))
    future.cancel()
    assert (await writer.submit(write(2)))[0].version == 2


async def test_refusals_and_answers_of_one_batch_reach_their_own_callers(writer: Writer) -> None:
    async def ask(number: int) -> tuple[int, object]:
        try:
            return number, (await writer.submit(write(number, f"{URI}{number % 10}", must_be_new=True)))[0].uri
        except Refusal as refusal:
            return number, refusal.data["uri"]

    for number, found in await asyncio.gather(*(ask(number) for number in range(200))):
        assert found == f"{URI}{number % 10}"
    assert len(await in_database(entries)) == 200


def test_nobody_is_told_of_an_event_before_it_is_durable(writer: Writer) -> None:
    seen: list[tuple[int, int]] = []
    writer.listen(lambda events: seen.append((events[-1].offset, head())))  # type: ignore[attr-defined]
    for number in range(5):
        writer.run(write(number))
    assert seen == [(offset, offset) for offset in range(1, 6)]


async def test_a_refusal_keeps_nothing_of_the_transaction_that_it_came_from(writer: Writer) -> None:
    """SQLite's cursors are not to be let go of by another thread, in the middle of what the writer does next."""
    await writer.submit(write(1))
    before = _statements()
    with pytest.raises(VersionConflict) as refused:
        await writer.submit(write(2, base_version=7))
    await writer.submit(write(3))
    kept = [one for one in _statements() if not any(one is other for other in before)]
    assert refused.value.data["current_version"] == 1
    assert kept == []


def _statements() -> list[SQLite | PostgreSQL]:
    """Whatever still refers to the connection of a transaction."""
    gc.collect()
    return [one for one in gc.get_objects() if isinstance(one, SQLite | PostgreSQL)]
