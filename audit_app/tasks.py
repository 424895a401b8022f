"""What Celery runs for the audit trail, and for what the writer keeps beside the work."""

from celery import shared_task
from django.conf import settings

from audit_app import expiry
from audit_app.mover import move_entries
from audit_app.sinks.follower import deliver


@shared_task(ignore_result=True)
def move_outbox() -> int:
    """Move what waits in the outbox to the audit database; repeated and parallel runs add nothing twice."""
    return move_entries()


@shared_task(ignore_result=True)
def drop_old_keys() -> int:
    """Forget the idempotency keys that are older than a day."""
    return expiry.drop_old_keys()


@shared_task(ignore_result=True)
def deliver_to_sink(name: str) -> int:
    """Deliver to one sink what waits for it; 0 for one that the settings do not name any more."""
    target = settings.AUDIT_SINKS.get(name)
    return 0 if target is None else deliver(target)
