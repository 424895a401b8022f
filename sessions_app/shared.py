"""The session cache that nodes share: Django's cache (Redis, or this process's memory in the embedded run).

For the backend `database` it saves a query and may vanish at any time; for the backend `cache` it is all there is.
A cache that does not answer is a miss. Everything here blocks: call it through `in_database`.
"""

import logging

from django.conf import settings
from django.core.cache import cache
from redis.exceptions import RedisError

from audit_app.errors import Unavailable
from sessions_app.records import SessionRecord, dumped, loaded
from telemetry_app.metrics import CACHE_REQUESTS

log = logging.getLogger(__name__)

FAILURES = (RedisError, OSError)
COPY_SECONDS = 600


def get_session(id: str) -> SessionRecord | None:
    """A session that the cache has."""
    try:
        text = cache.get(_key(id))
        record = loaded(text) if text is not None else None
    except FAILURES as error:
        _count("error", error)
        return None
    except (ValueError, KeyError, TypeError) as error:
        _count("error", error)
        return None
    _count("miss" if record is None else "hit")
    return record


def put_session(record: SessionRecord) -> None:
    """Keep a session; one of the backend `cache` until it has been idle for `SESSION_IDLE_SECONDS`.

    Raises Unavailable when a session of the backend `cache` could not be kept.
    """
    is_copy = record.backend == "database"
    try:
        cache.set(_key(record.id), dumped(record), COPY_SECONDS if is_copy else settings.SESSION_IDLE_SECONDS)
    except FAILURES as error:
        _count("error", error)
        if not is_copy:
            raise Unavailable("The session cache does not answer.") from None


def touch_session(id: str) -> None:
    """A session of the backend `cache` was used: it is kept for another `SESSION_IDLE_SECONDS`."""
    try:
        cache.touch(_key(id), settings.SESSION_IDLE_SECONDS)
    except FAILURES as error:
        _count("error", error)


def drop_session(id: str) -> None:
    """Forget a session. A copy that cannot be dropped ends with its time."""
    try:
        cache.delete(_key(id))
    except FAILURES as error:
        _count("error", error)


def _key(id: str) -> str:
    return f"session:{id}"


def _count(result: str, error: Exception | None = None) -> None:
    CACHE_REQUESTS.labels("sessions", result).inc()
    if error is not None:
        log.warning("the session cache failed: %s", error)
