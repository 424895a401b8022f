"""The session cache that nodes share: Django's cache (Redis, or this process's memory in the embedded run).

For the backend `database` it holds copies that save a query, each with the position in the control stream that it is at
least as new as, so that whoever follows that stream knows which copies have been overtaken. For the backend `cache` it
is all there is. A cache that does not answer is a miss, and is left alone for a second. Everything here blocks: call it
through `in_database`.
"""

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

import orjson
from django.conf import settings
from django.core.cache import cache
from redis.exceptions import RedisError

from audit_app.errors import Unavailable
from sessions_app.records import SessionRecord, loaded
from telemetry_app.metrics import CACHE_REQUESTS

log = logging.getLogger(__name__)

COPY_SECONDS = 600
REST_SECONDS = 1.0

T = TypeVar("T")


class CacheDown(Exception):
    """The cache does not answer, or did not a moment ago."""


@dataclass(frozen=True, slots=True)
class SharedSession:
    """A session out of the cache; `as_of` is a position in the control stream that it reflects."""

    record: SessionRecord
    as_of: int

    @property
    def is_copy(self) -> bool:
        """Whether it is a copy of a row, and not all that there is."""
        return self.record.backend == "database"


class Attempts:
    """Asks the cache, unless it failed less than `REST_SECONDS` ago: its timeouts would hold up one thread each."""

    def __init__(self) -> None:
        self._rests_until = float("-inf")

    def ask(self, operation: Callable[..., T], *args: object) -> T:
        """Raises CacheDown."""
        if time.monotonic() < self._rests_until:
            raise CacheDown
        try:
            return operation(*args)
        except (RedisError, OSError) as error:
            self._rests_until = time.monotonic() + REST_SECONDS
            log.warning("the session cache does not answer: %s", error)
            raise CacheDown from None


attempts = Attempts()


def get_session(id: str, changed_at: int = 0) -> SharedSession | None:
    """What the cache has under an id, but no copy from before a position in the control stream."""
    try:
        text = attempts.ask(cache.get, _key(id))
    except CacheDown:
        CACHE_REQUESTS.labels("sessions", "error").inc()
        return None
    if text is None:
        CACHE_REQUESTS.labels("sessions", "miss").inc()
        return None
    kept = orjson.loads(text)
    found = SharedSession(loaded(kept["record"]), kept["as_of"])
    is_stale = found.is_copy and found.as_of < changed_at
    CACHE_REQUESTS.labels("sessions", "stale" if is_stale else "hit").inc()
    return None if is_stale else found


def put_session(record: SessionRecord, as_of: int = 0) -> None:
    """Keep a session; one of the backend `cache` until it has been idle for `SESSION_IDLE_SECONDS`.

    Raises Unavailable when a session of the backend `cache` could not be kept.
    """
    is_copy = record.backend == "database"
    text = orjson.dumps({"as_of": as_of, "record": record})
    try:
        attempts.ask(cache.set, _key(record.id), text, COPY_SECONDS if is_copy else settings.SESSION_IDLE_SECONDS)
    except CacheDown:
        if not is_copy:
            raise Unavailable("The session cache does not answer.") from None


def touch_session(id: str) -> None:
    """A session of the backend `cache` was used: it is kept for another `SESSION_IDLE_SECONDS`. Raises CacheDown."""
    attempts.ask(cache.touch, _key(id), settings.SESSION_IDLE_SECONDS)


def _key(id: str) -> str:
    return f"session:{id}"
