"""What Celery runs for the audit trail, and for what the writer keeps beside the work."""

from typing import Any

from celery import shared_task, signals

from audit_app import expiry
from audit_app.mover import move_entries
from audit_app.task_failures import task_failures


@shared_task(ignore_result=True)
def move_outbox() -> int:
    """Move what waits in the outbox to the audit database; repeated and parallel runs add nothing twice."""
    return move_entries()


@shared_task(ignore_result=True)
def drop_old_keys() -> int:
    """Forget the idempotency keys that are older than a day."""
    return expiry.drop_old_keys()


@signals.task_failure.connect
def note_failure(sender: Any = None, exception: BaseException | None = None, **_: Any) -> None:
    """Put on record that a task, of whichever app, has failed."""
    task_failures.failed(getattr(sender, "name", "unknown"), exception)
