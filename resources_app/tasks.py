"""What Celery runs for resources and the log."""

import logging

from asgiref.sync import async_to_sync
from celery import shared_task

from audit_app.errors import Unavailable
from audit_app.system import system_entry
from resources_app.log.rules import trim_by_settings
from resources_app.reencryption import reencrypt

log = logging.getLogger(__name__)

REENCRYPTION_SECONDS = 20.0


@shared_task
def trim_log() -> int:
    """Trim the log to what the settings keep; returns how many events went."""
    return trim_by_settings()


@shared_task
def reencrypt_content() -> int:
    """Go on with the run of re-encryption that is not finished; returns its number, 0 when there is none."""
    entry = system_entry("encryption/reencrypt", "encryption")
    try:
        run = async_to_sync(reencrypt)(REENCRYPTION_SECONDS, entry)
    except Unavailable as away:
        log.warning("re-encryption waits: %s", away.message)
        return 0
    return 0 if run is None else run.number
