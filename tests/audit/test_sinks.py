"""A sink gets every entry in order, whatever happens to its receiver, to its workers and to their clocks."""

import threading
import tracemalloc
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from django.db import DatabaseError, connections

from audit_app.models import DeadLetter, Sink
from audit_app.sinks.configuration import Target, parse_sink
from audit_app.sinks.follower import deliver
from audit_app.sinks.measures import lag_of
from audit_app.sinks.state import LEASE_SECONDS, LONGEST_REST, take_lease
from tests.audit.receivers import HOST, Answer, Posted, WebReceiver, a_port_where_nobody_listens
from tests.audit.trails import Clock, add_entries, is_each_once
from tests.stack.beside import run_beside

pytestmark = pytest.mark.django_db(transaction=True, databases=["default", "audit"])

FOREVER = 60.0


@pytest.fixture
def receiver() -> Iterator[WebReceiver]:
    server = WebReceiver()
    yield server
    server.close()


@pytest.fixture
def clock() -> Clock:
    return Clock()


def target_at(receiver: WebReceiver, **options: Any) -> Target:
    query = "&".join(f"{name}={value}" for name, value in {"name": "siem", **options}.items())
    return parse_sink(f"http://{HOST}:{receiver.port}/in?{query}")


def drain(target: Target, clock: Clock, ticks: int = 200) -> int:
    """Deliver until nothing waits, with as much time between two ticks as the longest rest."""
    delivered = 0
    for _ in range(ticks):
        delivered += deliver(target, clock, FOREVER)
        if not lag_of(state().cursor).entries:
            return delivered
        clock.step(LONGEST_REST)
    raise AssertionError(f"{lag_of(state().cursor)} left after {ticks} ticks: {state().last_error}")


def state() -> Sink:
    return Sink.objects.get(name="siem")


def once(answer: Answer) -> Callable[[Posted], Answer]:
    """Answer the first request so, and take every other."""
    answers = iter([answer])
    return lambda posted: next(answers, Answer())


def test_every_entry_arrives_once_and_in_order(receiver: WebReceiver, clock: Clock) -> None:
    add_entries(1_234)
    target = target_at(receiver, batch=100)
    assert deliver(target, clock, FOREVER) == 1_234
    assert is_each_once(receiver.sequences, 1_234)
    assert max(len(posted.lines) for posted in receiver.posted) == 100
    add_entries(3)
    assert deliver(target, clock, FOREVER) == 3
    assert deliver(target, clock, FOREVER) == 0
    assert is_each_once(receiver.sequences, 1_237)
    assert (state().cursor, state().delivered, state().holder) == (1_237, 1_237, "")


def test_a_tick_that_finds_nothing_writes_nothing(receiver: WebReceiver, clock: Clock) -> None:
    target = target_at(receiver)
    assert deliver(target, clock) == 0
    assert not Sink.objects.exists()
    add_entries(1)
    deliver(target, clock)
    leased_at = state().leased_at
    clock.step(10)
    assert deliver(target, clock) == 0
    assert state().leased_at == leased_at


def test_batches_are_bounded_in_bytes_and_a_larger_entry_goes_alone(receiver: WebReceiver, clock: Clock) -> None:
    add_entries(50, details='{"text":"' + "x" * 300 + '"}')
    add_entries(1, details='{"text":"' + "x" * 20_000 + '"}')
    add_entries(5)
    deliver(target_at(receiver, batch_bytes=4_096), clock, FOREVER)
    assert is_each_once(receiver.sequences, 56)
    alone = [posted for posted in receiver.posted if len(posted.body) > 4_096 + len(posted.lines)]
    assert [posted.sequences for posted in alone] == [[51]]


@pytest.mark.timeout(240)
def test_a_receiver_that_was_away_for_100_000_entries_gets_them_all(receiver: WebReceiver, clock: Clock) -> None:
    """Quality 19: memory is bounded, and afterwards none is lost and none twice."""
    count = 100_000
    add_entries(1)
    with a_port_where_nobody_listens() as port:
        away = parse_sink(f"http://{HOST}:{port}/?name=siem&timeout=1")
        deliver(away, clock, FOREVER)
        add_entries(count - 1)
        tracemalloc.start()
        try:
            for _ in range(5):
                clock.step(LONGEST_REST)
                assert deliver(away, clock, FOREVER) == 0
            while_away = tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()
    assert state().failures == 6
    assert lag_of(state().cursor).entries == count
    assert while_away < 16_000_000
    # a receiver keeps only the numbers, so that what is measured is the sender
    numbers: list[int] = []

    def count_only(posted: Posted) -> Answer:
        numbers.extend(posted.sequences)
        receiver.posted.clear()
        receiver.taken.clear()
        return Answer()

    receiver.answer = count_only
    target = target_at(receiver)
    clock.step(LONGEST_REST)
    tracemalloc.start()
    try:
        assert deliver(target, clock, seconds=0.2) > 0
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 32_000_000
    drain(target, clock)
    assert is_each_once(numbers, count)


def test_a_receiver_that_fails_is_left_alone_for_longer_and_longer(receiver: WebReceiver, clock: Clock) -> None:
    add_entries(3)
    receiver.answer = lambda posted: Answer(500, b"on fire")
    target = target_at(receiver)
    rests = []
    for _ in range(9):
        assert deliver(target, clock) == 0
        rests.append(state().rest_seconds)
        tried = len(receiver.posted)
        clock.step(rests[-1] - 0.01)
        assert deliver(target, clock) == 0
        assert len(receiver.posted) == tried, "it was not left alone"
        clock.step(0.02)
    assert all(0.5 * 2**n <= rest <= 2**n for n, rest in enumerate(rests[:6])), rests
    assert all(LONGEST_REST / 2 <= rest <= LONGEST_REST for rest in rests[6:]), rests
    assert len(set(rests[6:])) > 1, "rests are not spread"
    assert (state().failures_in_a_row, state().last_error) == (9, "HTTP 500 on fire")
    assert all(len(posted.lines) == 1 for posted in receiver.posted[1:]), "a trial is one entry"
    receiver.answer = lambda posted: Answer()
    drain(target, clock)
    assert (state().failures_in_a_row, state().failures) == (0, 9)
    assert is_each_once(receiver.sequences, 3)


@pytest.mark.parametrize("status", [429, 503])
def test_a_receiver_is_left_alone_for_as_long_as_it_asks(receiver: WebReceiver, clock: Clock, status: int) -> None:
    add_entries(2)
    receiver.answer = once(Answer(status, headers={"Retry-After": "300"}))
    target = target_at(receiver)
    deliver(target, clock)
    clock.step(299)
    assert deliver(target, clock) == 0
    assert len(receiver.posted) == 1
    clock.step(2)
    assert deliver(target, clock) == 2
    assert not DeadLetter.objects.exists()


@pytest.mark.parametrize("status", [301, 401, 403, 404, 405, 408, 500, 502])
def test_what_is_not_the_entries_fault_kills_none(receiver: WebReceiver, clock: Clock, status: int) -> None:
    add_entries(2)
    receiver.answer = once(Answer(status, headers={"Location": "/elsewhere"}))
    target = target_at(receiver)
    assert deliver(target, clock) == 0
    assert len(receiver.posted) == 1
    drain(target, clock)
    assert is_each_once(receiver.sequences, 2)
    assert not DeadLetter.objects.exists()


@pytest.mark.parametrize("status", [400, 413, 422])
def test_an_entry_that_is_rejected_alone_becomes_a_dead_letter(
    receiver: WebReceiver, clock: Clock, status: int
) -> None:
    ids = add_entries(100)
    receiver.answer = lambda posted: Answer(status, b"not 42\r\n\x1b") if 42 in posted.sequences else Answer()
    assert deliver(target_at(receiver), clock, FOREVER) == 99
    assert receiver.sequences == [n for n in range(1, 101) if n != 42]
    letter = DeadLetter.objects.get()
    assert (letter.sink, letter.sequence, letter.entry) == ("siem", 42, ids[41])
    assert letter.reason.startswith(f"HTTP {status} not 42")
    assert letter.reason.isprintable()
    assert (state().cursor, state().delivered) == (100, 99)
    assert len(receiver.posted) < 20


def test_a_receiver_that_refuses_everything_does_not_get_the_trail_as_dead_letters(
    receiver: WebReceiver, clock: Clock
) -> None:
    """Such as a server of HTTPS that is spoken to in plain HTTP: it says 400, whatever comes."""
    add_entries(250)
    receiver.answer = lambda posted: Answer(400, b"wrong door")
    target = target_at(receiver)
    assert deliver(target, clock, FOREVER) == 0
    assert (DeadLetter.objects.count(), state().cursor, state().failures_in_a_row) == (100, 100, 1)
    assert "refused 100 entries in a row" in state().last_error
    assert "wrong door" in state().last_error
    clock.step(LONGEST_REST)
    assert deliver(target, clock, FOREVER) == 0
    assert (DeadLetter.objects.count(), state().cursor) == (100, 100)
    receiver.answer = lambda posted: Answer()
    drain(target, clock)
    assert receiver.sequences == list(range(101, 251))


def test_dead_letters_at_both_ends_and_in_a_row_let_the_rest_flow(receiver: WebReceiver, clock: Clock) -> None:
    add_entries(64)
    bad = {1, 2, 3, 31, 32, 33, 64}
    receiver.answer = lambda posted: Answer(400) if bad & set(posted.sequences) else Answer()
    deliver(target_at(receiver, batch=16), clock, FOREVER)
    assert receiver.sequences == [n for n in range(1, 65) if n not in bad]
    assert set(DeadLetter.objects.values_list("sequence", flat=True)) == bad
    assert state().cursor == 64


def test_a_receiver_that_hangs_holds_a_worker_for_no_longer_than_its_timeout(
    receiver: WebReceiver, clock: Clock
) -> None:
    add_entries(1)
    receiver.answer = once(Answer(hangs=True))
    target = target_at(receiver, timeout=1)
    assert deliver(target, clock) == 0
    assert "timed out" in state().last_error
    drain(target, clock)
    assert is_each_once(receiver.sequences, 1)


def test_a_batch_whose_answer_was_lost_comes_again_under_the_same_key(receiver: WebReceiver, clock: Clock) -> None:
    add_entries(1)
    receiver.answer = once(Answer(breaks=True))
    target = target_at(receiver)
    assert deliver(target, clock) == 0
    drain(target, clock)
    assert receiver.sequences == [1, 1]
    first, second = receiver.taken
    assert first.headers["webhook-id"] == second.headers["webhook-id"] == first.headers["idempotency-key"]
    assert first.lines == second.lines


def test_two_workers_at_once_deliver_nothing_twice(receiver: WebReceiver, clock: Clock) -> None:
    add_entries(2_000)
    target = target_at(receiver, batch=20)
    failures: list[BaseException] = []

    def work() -> None:
        try:
            for _ in range(200):
                deliver(target, clock, seconds=0.01)
        except BaseException as error:
            failures.append(error)
        finally:
            connections.close_all()

    workers = [threading.Thread(target=work) for _ in range(4)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(100)
    assert failures == []
    drain(target, clock)
    assert is_each_once(receiver.sequences, 2_000)


def test_a_lease_is_one_workers_until_it_runs_out(receiver: WebReceiver, clock: Clock) -> None:
    add_entries(1)
    target = target_at(receiver)
    assert take_lease("siem", clock) is not None
    clock.step(LEASE_SECONDS - 1)
    assert deliver(target, clock) == 0
    clock.step(2)
    assert deliver(target, clock) == 1


def test_a_worker_whose_lease_ran_out_moves_no_cursor(receiver: WebReceiver, clock: Clock) -> None:
    """It slept while it was sending; meanwhile somebody else has delivered, and a third has set the cursor back."""
    add_entries(10)
    target = target_at(receiver, batch=5)
    seen: list[list[int]] = []

    def deliver_beside() -> None:
        deliver(target, clock, FOREVER)
        connections.close_all()

    def sleepy(posted: Posted) -> Answer:
        seen.append(posted.sequences)
        if len(seen) == 1:
            clock.step(LEASE_SECONDS + 1)
            other = threading.Thread(target=deliver_beside)
            other.start()
            other.join(30)
        return Answer()

    receiver.answer = sleepy
    deliver(target, clock, FOREVER)
    assert seen == [[1, 2, 3, 4, 5], [1, 2, 3, 4, 5], [6, 7, 8, 9, 10]]
    assert (state().cursor, state().delivered) == (10, 10)


@pytest.mark.parametrize("back", [-3600, -30 * 86_400])
def test_a_clock_that_was_stepped_back_stops_nothing(receiver: WebReceiver, clock: Clock, back: float) -> None:
    add_entries(2)
    target = target_at(receiver)
    receiver.answer = once(Answer(503, headers={"Retry-After": "600"}))
    deliver(target, clock)
    clock.step(back)
    assert deliver(target, clock) == 2, "it rests until the old time comes again"
    add_entries(1)
    assert take_lease("siem", clock) is not None
    clock.step(back)
    assert deliver(target, clock) == 1, "the lease of a worker that died lasts until the old time comes again"


def test_killed_workers_lose_nothing_and_repeat_a_batch_at_most(receiver: WebReceiver, clock: Clock) -> None:
    """Each is killed at a point of its first or second batch; the next one waits for the lease to run out."""
    add_entries(600)
    url = f"http://{HOST}:{receiver.port}/in?name=siem&batch=20"
    endings = run_beside("tests.audit.mortal_followers", "2", url)
    assert sorted(endings) == sorted(f"killed {point}" for point in ("send", "advance", "take_lease") for _ in range(2))
    clock.step(86_400)
    drain(target_at(receiver, batch=20), clock)
    numbers = receiver.sequences
    assert list(dict.fromkeys(numbers)) == list(range(1, 601)), "lost, or out of order"
    assert 600 < len(numbers) <= 600 + 2 * 20, "more came twice than what was on its way"


def test_details_that_somebody_has_bent_stop_no_sink(receiver: WebReceiver, clock: Clock) -> None:
    add_entries(2)
    add_entries(1, details="{")
    add_entries(2)
    receiver.answer = lambda posted: Answer()
    assert deliver(target_at(receiver, format="ecs"), clock, FOREVER) == 4
    letter = DeadLetter.objects.get()
    assert letter.sequence == 3
    assert "no form as ecs" in letter.reason
    assert state().cursor == 5


def test_sinks_do_not_wait_for_each_other(receiver: WebReceiver, clock: Clock) -> None:
    add_entries(5)
    with a_port_where_nobody_listens() as port:
        deliver(parse_sink(f"http://{HOST}:{port}/?name=away"), clock)
    assert deliver(target_at(receiver), clock) == 5
    assert Sink.objects.get(name="away").cursor == 0


def test_an_audit_database_that_fails_moves_no_cursor(receiver: WebReceiver, clock: Clock) -> None:
    add_entries(5)
    target = target_at(receiver)
    deliver(target, clock)
    add_entries(5)
    with connections["audit"].cursor() as cursor:
        cursor.execute("ALTER TABLE audit_app_auditentry RENAME TO elsewhere")
    try:
        with pytest.raises(DatabaseError):
            deliver(target, clock)
    finally:
        with connections["audit"].cursor() as cursor:
            cursor.execute("ALTER TABLE elsewhere RENAME TO audit_app_auditentry")
    assert state().cursor == 5
    clock.step(LEASE_SECONDS + 1)
    assert deliver(target, clock) == 5
