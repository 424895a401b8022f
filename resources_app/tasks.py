"""What Celery runs for resources and the log."""

from celery import shared_task

from resources_app.log.rules import trim_by_settings


@shared_task
def trim_log() -> int:
    """Trim the log to what the settings keep; returns how many events went."""
    return trim_by_settings()
