"""Celery is asked for the mover once a batch's worth waits, and never more often than it helps."""

import threading

import pytest
from kombu.exceptions import OperationalError

from audit_app import demand
from audit_app.demand import Demand
from audit_app.mover import BATCH
from telemetry_app.tracing.context import TraceContext, continued, current
from tests.stack.waiting import wait_until


def test_a_batchs_worth_is_asked_for_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(demand, "PAUSE_SECONDS", 600.0)
    asked: list[int] = []
    one = Demand(lambda: asked.append(1))
    for _ in range(BATCH - 1):
        one.count(1)
    assert asked == []
    for _ in range(10 * BATCH):
        one.count(1)
    wait_until(lambda: asked, 30, "the question")
    wait_until(lambda: not one.is_asking, 30, "the end of the question")
    assert asked == [1]


def test_nothing_is_asked_while_a_question_is_on_its_way(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(demand, "PAUSE_SECONDS", 0.0)
    answers, asked = threading.Event(), []

    def ask() -> None:
        asked.append(1)
        answers.wait(30)

    one = Demand(ask)
    for _ in range(20):
        one.count(BATCH)
    wait_until(lambda: asked, 30, "the question")
    assert asked == [1], "a broker that hangs is asked once"
    answers.set()
    wait_until(lambda: not one.is_asking, 30, "the end of the question")
    one.count(BATCH)
    wait_until(lambda: len(asked) == 2, 30, "the next question")


def test_one_thread_asks_again_and_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(demand, "PAUSE_SECONDS", 0.0)
    threads: list[int] = []
    one = Demand(lambda: threads.append(threading.get_ident()))
    for _ in range(5):
        one.count(BATCH)
        wait_until(lambda: not one.is_asking, 30, "the end of the question")
    assert len(threads) == 5
    assert len(set(threads)) == 1
    assert threading.get_ident() not in threads


def test_the_question_is_of_the_trace_of_the_batch_that_made_it_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(demand, "PAUSE_SECONDS", 0.0)
    traces: list[TraceContext | None] = []
    one, batch = Demand(lambda: traces.append(current.get())), continued(None)
    for trace in (batch, None):
        outside = current.set(trace)
        one.count(BATCH)
        current.reset(outside)
        wait_until(lambda: not one.is_asking, 30, "the end of the question")
    assert traces == [batch, None]


def test_a_broker_that_is_away_does_no_harm(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(demand, "PAUSE_SECONDS", 0.0)

    def ask() -> None:
        raise OperationalError("nobody listens")

    one = Demand(ask)
    for _ in range(5):
        one.count(BATCH)
        wait_until(lambda: not one.is_asking, 30, "the end of the question")
