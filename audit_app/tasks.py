"""What Celery runs for the audit trail, and for what the writer keeps beside the work."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

from celery import shared_task, signals
from django.conf import settings
from django.utils.timezone import now

from audit_app import expiry, retention
from audit_app.chain import checkpoints
from audit_app.mover import move_entries
from audit_app.sinks.follower import deliver
from audit_app.task_failures import task_failures


@shared_task(ignore_result=True)
def move_outbox() -> int:
    """Move what waits in the outbox to the audit database; repeated and parallel runs add nothing twice."""
    return move_entries()


@shared_task(ignore_result=True)
def sign_trail() -> None:
    """Make a checkpoint of what none covers yet; of parallel runs, one makes it."""
    checkpoints.sign_trail()


@shared_task(ignore_result=True)
def archive_trail() -> None:
    """Archive the whole days that are older than AUDIT_RETENTION_DAYS; of parallel runs, one does it."""
    if settings.AUDIT_RETENTION_DAYS:
        midnight = now().replace(hour=0, minute=0, second=0, microsecond=0)
        before = midnight - timedelta(days=settings.AUDIT_RETENTION_DAYS)
        for _ in retention.archive_old(before, settings.AUDIT_ARCHIVE_DIR):
            """Each is logged."""


@shared_task(ignore_result=True)
def drop_old_keys() -> int:
    """Forget the idempotency keys that are older than a day."""
    return expiry.drop_old_keys()


@shared_task(ignore_result=True)
def deliver_to_sink(name: str) -> int:
    """Deliver to one sink what waits for it; 0 for one that the settings do not name any more."""
    target = settings.AUDIT_SINKS.get(name)
    if target is None:
        return 0
    with _turn_of(name) as is_mine:
        return deliver(target) if is_mine else 0


_turns: set[str] = set()
_turns_lock = threading.Lock()


@contextmanager
def _turn_of(name: str) -> Iterator[bool]:
    """Whether no other thread of this worker delivers to a sink.

    A receiver may hold a thread for longer than a lease lasts. Without this it would get another one each minute, until
    none is left to move entries.
    """
    with _turns_lock:
        is_mine = name not in _turns
        _turns.add(name)
    try:
        yield is_mine
    finally:
        if is_mine:
            _turns.discard(name)


@signals.task_failure.connect
def note_failure(sender: Any = None, exception: BaseException | None = None, **_: Any) -> None:
    """Put on record that a task, of whichever app, has failed."""
    task_failures.failed(getattr(sender, "name", "unknown"), exception)
