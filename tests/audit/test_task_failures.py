"""Background work that fails is on record, and one that fails all the time does not flood the trail."""

from typing import Any

import pytest
from celery import shared_task

from audit_app import task_failures, tasks
from audit_app.task_failures import TaskFailures
from audit_app.writer import writer
from tests.stack.outbox import entries

pytestmark = pytest.mark.django_db(transaction=True, databases=["default", "audit"])

SECRET = "password=hunter22"


def told() -> list[dict[str, Any]]:
    writer.close()
    return entries("task/failed")


@shared_task(name="tests.fail")
def fail() -> None:
    raise ValueError(SECRET)


def test_a_task_that_fails_leaves_an_entry_of_the_system() -> None:
    assert tasks.note_failure is not None, "what a worker loads listens for failures"
    fail.apply()
    (entry,) = told()
    assert (entry["resource_type"], entry["resource_id"], entry["transport"]) == ("task", "tests.fail", "system")
    assert entry["details"] == {"error": "ValueError", "failures": 1}
    assert SECRET not in str(entry)


def test_repeats_are_told_together(monkeypatch: pytest.MonkeyPatch) -> None:
    failures = TaskFailures()
    for _ in range(50):
        failures.failed("often", ValueError())
    failures.failed("once", None)
    assert [(entry["resource_id"], entry["details"]["failures"]) for entry in told()] == [("often", 1), ("once", 1)]
    monkeypatch.setattr(task_failures, "TOGETHER_SECONDS", 0.0)
    failures.failed("often", ValueError())
    assert [entry["details"]["failures"] for entry in told()] == [1, 1, 50]
