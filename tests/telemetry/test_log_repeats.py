"""What is logged again and again is written so often in a period, then counted; and nothing waits for who reads it."""

import logging
import os
from collections.abc import Callable, Iterator

import orjson
import pytest

from erlmcp_site.logs.handler import LineHandler
from erlmcp_site.logs.lines import LineFormatter
from erlmcp_site.logs.outflow import Outflow
from erlmcp_site.logs.repeats import MOST_KINDS, Repeats
from telemetry_app.metrics import LOG_LINES_LOST
from tests.stack.waiting import PATIENCE, wait_until


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def repeats(clock: Clock) -> Repeats[str]:
    return Repeats(2, 60, clock)


def test_so_many_in_a_period_are_let_through_and_the_rest_is_told_once(repeats: Repeats[str], clock: Clock) -> None:
    assert [repeats.admits("a") for _ in range(5)] == [True, True, False, False, False]
    assert repeats.admits("b")
    clock.now += 59
    assert not repeats.admits("a") and repeats.ended() == []
    clock.now += 1
    assert repeats.ended() == [("a", 4)]
    clock.now += 60
    assert repeats.ended() == []
    assert repeats.admits("a")


def test_what_is_not_over_is_told_at_the_end(repeats: Repeats[str]) -> None:
    for _ in range(3):
        repeats.admits("a")
    assert repeats.ended() == []
    assert repeats.ended(all=True) == [("a", 1)]


class Finalized(str):
    """Whatever is done with it, the garbage collector runs a finalizer, which logs."""

    log: Callable[[], object]

    def __eq__(self, other: object) -> bool:
        self.log()
        return str.__eq__(self, other)

    __hash__ = str.__hash__

    def encode(self, *arguments: str, **named: str) -> bytes:
        self.log()
        return str.encode(self, *arguments, **named)


@pytest.mark.timeout(20, func_only=True)
def test_a_finalizer_that_logs_while_something_is_logged_waits_for_nobody(repeats: Repeats[str], clock: Clock) -> None:
    assert repeats.admits("a")
    kind = Finalized("a")
    kind.log = lambda: repeats.admits("b")
    assert [repeats.admits(kind) for _ in range(3)] == [True, False, False]
    clock.now += 60
    assert dict(repeats.ended()) == {"a": 2, "b": 1}


@pytest.mark.timeout(20, func_only=True)
def test_a_finalizer_that_logs_while_a_line_is_written_waits_for_nobody() -> None:
    reads, writes = os.pipe()
    outflow = Outflow(writes)
    line = Finalized("a line")
    line.log = lambda: outflow.put(str, "of a finalizer")
    outflow.put(lambda: line)
    os.close(writes)
    with os.fdopen(reads) as written:
        assert written.read().splitlines() == ["of a finalizer", "a line"]


def test_more_kinds_than_can_be_told_apart_count_as_one(repeats: Repeats[str], clock: Clock) -> None:
    kinds = [f"kind {number}" for number in range(MOST_KINDS * 3)]
    assert sum(repeats.admits(kind) for kind in kinds) == MOST_KINDS + 2
    clock.now += 60
    assert repeats.ended() == [(None, MOST_KINDS * 2 - 2)]
    assert repeats.admits("another")


Read = Callable[[], list[dict[str, object]]]


@pytest.fixture
def pipe() -> Iterator[tuple[int, Read]]:
    """Where to write lines, and what has come of them since it was asked last."""
    reads, writes = os.pipe()
    os.set_blocking(reads, False)

    def read() -> list[dict[str, object]]:
        found = b""
        try:
            while piece := os.read(reads, 1 << 16):
                found += piece
        except BlockingIOError:
            pass
        return [orjson.loads(line) for line in found.splitlines()]

    yield writes, read
    for end in (reads, writes):
        os.close(end)


def handled(outflow: Outflow, repeats: Repeats[tuple[str, int, str]]) -> tuple[logging.Logger, LineHandler]:
    handler = LineHandler(outflow, repeats)
    handler.setFormatter(LineFormatter("json"))
    log = logging.Logger("flood")
    log.addHandler(handler)
    return log, handler


def test_a_flood_is_summed_up_in_one_line(pipe: tuple[int, Read], clock: Clock) -> None:
    descriptor, read = pipe
    log, handler = handled(Outflow(descriptor), Repeats(3, 60, clock))
    for number in range(1000):
        log.warning("the %dth of them", number)
    log.error("the %dth of them", 1)
    log.warning("another")
    assert [line["message"] for line in read()] == [
        *(f"the {number}th of them" for number in range(3)),
        *("the 1th of them", "another"),
    ]
    clock.now += 60
    log.info("much later")
    first, second = read()
    assert (first["message"], first["left_out"]) == ("997 more were left out: the %dth of them", 997)
    assert (first["logger"], first["level"], second["message"]) == ("flood", "warning", "much later")
    for _ in range(5):
        log.info("at the end")
    handler.close()
    assert [line["message"] for line in read()] == [*["at the end"] * 3, "2 more were left out: at the end"]


def test_what_cannot_be_put_into_a_message_is_not_shown(pipe: tuple[int, Read], clock: Clock) -> None:
    descriptor, read = pipe
    log, _ = handled(Outflow(descriptor), Repeats(3, 60, clock))
    log.warning("%d of them", "hunter2")
    (line,) = read()
    assert line["message"] == "TypeError in logging '%d of them'"


def test_whoever_logs_does_not_wait_for_who_reads(pipe: tuple[int, Read]) -> None:
    """The pipe is full long before the last line; what there is no room for is counted, and told when it goes on."""
    descriptor, read = pipe
    outflow = Outflow(descriptor, most=1_000)
    log, handler = handled(outflow, Repeats(10**6, 60))
    lost_before = LOG_LINES_LOST._value.get()
    outflow.begin()
    for number in range(20_000):
        log.warning("%d %s", number, "x" * 100)
    lost = int(LOG_LINES_LOST._value.get() - lost_before)
    assert 0 < lost < 20_000
    assert not outflow.end(0.0), "the thread waits for the reader, and nobody for the thread"
    lines: list[dict[str, object]] = []

    def all_came() -> bool:
        lines.extend(read())
        return len(lines) > 20_000 - lost

    wait_until(all_came, PATIENCE, "the rest is written, and how many were lost")
    assert outflow.end(PATIENCE)
    told = [line["left_out"] for line in lines if "lost" in str(line["message"])]
    assert sum(int(str(count)) for count in told) == lost
    kept = [int(str(line["message"]).split()[0]) for line in lines if "xxx" in str(line["message"])]
    assert kept == sorted(set(kept)) and len(kept) == 20_000 - lost
    handler.close()


def test_what_waits_is_written_at_the_end_and_later_lines_directly(pipe: tuple[int, Read]) -> None:
    descriptor, read = pipe
    outflow = Outflow(descriptor)
    log, handler = handled(outflow, Repeats(100, 60))
    outflow.begin()
    for number in range(50):
        log.warning("%d", number)
    handler.close()
    assert [line["message"] for line in read()] == [str(number) for number in range(50)]
    outflow.put(str, '{"message":"after the end"}')
    assert [line["message"] for line in read()] == ["after the end"]


def test_a_line_that_cannot_be_made_costs_no_other(pipe: tuple[int, Read]) -> None:
    descriptor, read = pipe
    outflow = Outflow(descriptor)
    outflow.begin()
    outflow.put(lambda: str(1 // 0))
    outflow.put(str, '{"message":"next"}')
    assert outflow.end(PATIENCE)
    assert [line["message"] for line in read()] == ["next"]
    assert outflow.take_lost() == 1


def test_a_standard_error_that_is_gone_disturbs_nobody() -> None:
    reads, writes = os.pipe()
    Outflow(reads).put(str, "nobody can write there")
    os.close(reads)
    Outflow(writes).put(str, "nobody reads this")
    os.close(writes)
