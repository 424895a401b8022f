"""Retries are bounded, what is answered tells no secret, and the table for people says what the code does."""

import logging
import re
import time

import pytest
from django.conf import settings
from django.db import DatabaseError, OperationalError
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import REGISTRY

from audit_app.recovery import LONGEST_PAUSE, STRATEGIES, log_failure, pauses, refusal_of

AWAY = OperationalError("connection to server at 10.1.2.3 failed")
OURS = DatabaseError("column secret does not exist")


def retries() -> float:
    return REGISTRY.get_sample_value("erlmcp_recoveries_total", {"part": "database", "strategy": "retry"}) or 0


@given(st.floats(min_value=0.001, max_value=0.05))
def test_pauses_never_reach_past_the_deadline(seconds: float) -> None:
    began = time.monotonic()
    until = began + seconds
    for pause in pauses(until):
        assert 0 < pause <= LONGEST_PAUSE
        # it was chosen at some moment since the last one ended
        assert began + pause <= until + 1e-6
        time.sleep(pause)
        began = time.monotonic()
    assert time.monotonic() >= until


def test_pauses_grow_and_differ() -> None:
    def first(count: int) -> list[float]:
        return [pause for pause, _ in zip(pauses(time.monotonic() + 60), range(count), strict=False)]

    ten, others = first(10), first(10)
    assert ten != others
    assert all(0.0025 <= some[0] <= 0.005 and LONGEST_PAUSE / 2 <= some[9] <= LONGEST_PAUSE for some in (ten, others))


def test_a_deadline_that_has_passed_leaves_no_pause() -> None:
    assert list(pauses(time.monotonic())) == []


def test_only_what_is_tried_again_counts_as_a_retry() -> None:
    before = retries()
    for _ in pauses(time.monotonic() + 60):
        break
    assert retries() == before
    for number, _ in enumerate(pauses(time.monotonic() + 60)):
        if number == 3:
            break
    assert retries() == before + 3


@pytest.mark.parametrize(("error", "code"), [(AWAY, "unavailable"), (OURS, "internal_error")])
def test_the_answer_to_a_failure_says_no_more_than_callers_may_know(error: Exception, code: str) -> None:
    refusal = refusal_of(error)
    assert refusal.code == code
    assert not any(secret in refusal.message for secret in ("10.1.2.3", "secret"))
    assert refusal.data == {}


@pytest.mark.parametrize(("error", "level", "traced"), [(AWAY, logging.WARNING, False), (OURS, logging.ERROR, True)])
def test_only_what_is_fatal_is_logged_with_a_traceback(
    error: Exception, level: int, traced: bool, caplog: pytest.LogCaptureFixture
) -> None:
    log_failure(logging.getLogger("test"), error, "request %s failed", "42")
    (record,) = caplog.records
    assert (record.levelno, record.exc_info is not None) == (level, traced)
    assert record.getMessage().startswith("request 42 failed")


def test_the_document_lists_the_strategies_as_they_are() -> None:
    """docs/failures.md: | part | fallback | tried again for | tried while away | … |"""
    text = (settings.BASE_DIR / "docs" / "failures.md").read_text()
    rows = re.findall(r"^\| `(\w+)` \| `(\w+)` \| ([\d.]+|–) s? ?\| every ([\d.]+) s \|", text, re.MULTILINE)
    assert [
        (part, fallback, 0.0 if retry == "–" else float(retry), float(rest)) for part, fallback, retry, rest in rows
    ] == [(one.part, one.fallback, one.retry_seconds, one.rest_seconds) for one in STRATEGIES]
