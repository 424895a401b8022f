"""What Celery runs for the audit trail, and for what the writer keeps beside the work."""

from celery import shared_task

from audit_app import expiry
from audit_app.chain import checkpoints
from audit_app.mover import move_entries


@shared_task(ignore_result=True)
def move_outbox() -> int:
    """Move what waits in the outbox to the audit database; repeated and parallel runs add nothing twice."""
    return move_entries()


@shared_task(ignore_result=True)
def sign_trail() -> None:
    """Make a checkpoint of what none covers yet; of parallel runs, one makes it."""
    checkpoints.sign_trail()


@shared_task(ignore_result=True)
def drop_old_keys() -> int:
    """Forget the idempotency keys that are older than a day."""
    return expiry.drop_old_keys()
