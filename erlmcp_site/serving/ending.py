"""How long the steps of ending take at most, one after the other (docs/health.md).

A process that is told to end is not ready any more for DRAIN_NOTICE_SECONDS, lets go of its sockets and streams within
DRAIN_SECONDS, finishes what is under way, and has the writer commit what waits. The Celery worker ends after the web
processes, whose entries it moves.
"""

from django.conf import settings

FINISH_SECONDS = 3
"""For requests that are under way when nothing new is accepted any more."""

FLUSH_SECONDS = 3.0
"""For the writer, and for what else is only in memory."""

WORKER_SECONDS = 15.0
"""For a task that the worker has begun; one that is cut is done again."""

HURRIED_SECONDS = 3.0
"""For everything, once a second signal has come."""

CUT_STATUS = 3
"""What a process ends with that had to cut something off."""


def serving_seconds() -> float:
    """How long web processes have from the first signal on."""
    drain: float = settings.DRAIN_NOTICE_SECONDS + settings.DRAIN_SECONDS
    return drain + FINISH_SECONDS + FLUSH_SECONDS
