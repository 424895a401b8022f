"""The session cache that nodes share: Django's cache (Redis, or this process's memory in the embedded run).

For the backend `database` it holds copies that save a query, each with the position in the control stream that it is at
least as new as, so that whoever follows that stream knows which copies have been overtaken. For the backend `cache` it
is all there is. A cache that does not answer is a miss. Everything here blocks: call it through `in_database`.
"""

import contextlib
import random
from collections.abc import Iterable
from dataclasses import dataclass, replace

import orjson
from django.conf import settings
from django.core.cache import cache
from redis.exceptions import RedisError

from audit_app.breaker import Breaker, PartAway
from audit_app.recovery import CACHE
from sessions_app.errors import TooManySessions
from sessions_app.records import SessionRecord, as_json, loaded
from sessions_app.sealed import as_kept, is_encrypted
from telemetry_app.metrics import CACHE_REQUESTS

COPY_SECONDS = 600

breaker = Breaker(CACHE, counts=lambda error: isinstance(error, RedisError | OSError))


@dataclass(frozen=True, slots=True)
class SharedSession:
    """A session out of the cache; `as_of` is a position in the control stream that it reflects."""

    record: SessionRecord
    as_of: int

    @property
    def is_copy(self) -> bool:
        """Whether it is a copy of a row, and not all that there is."""
        return self.record.backend == "database"


def get_session(id: str, changed_at: int = 0) -> SharedSession | None:
    """What the cache has under an id, but no copy from before a position in the control stream."""
    try:
        with breaker.guard():
            text = cache.get(_key(id))
    except PartAway:
        CACHE_REQUESTS.labels("sessions", "error").inc()
        return None
    if text is None:
        CACHE_REQUESTS.labels("sessions", "miss").inc()
        return None
    kept = orjson.loads(text)
    found = SharedSession(as_kept(loaded(kept["record"])), kept["as_of"])
    is_stale = found.is_copy and found.as_of < changed_at
    CACHE_REQUESTS.labels("sessions", "stale" if is_stale else "hit").inc()
    return None if is_stale else found


def add_session(record: SessionRecord) -> SessionRecord:
    """Keep a new session of the backend `cache`, in one of its user's places for these; that is taken in one step.

    Returns it with its place; one that has it already keeps it. Raises TooManySessions when all are taken, PartAway.
    """
    added = record if record.place is not None else replace(record, place=_take_place(record))
    put_session(added)
    return added


def _take_place(record: SessionRecord) -> int:
    with breaker.guard():
        taken = cache.get_many([_place(record.user_id, place) for place in range(settings.SESSIONS_PER_USER)])
        free = [place for place in range(settings.SESSIONS_PER_USER) if _place(record.user_id, place) not in taken]
        # so that those who ask at the same time do not try the same ones
        random.shuffle(free)
        for place in free:
            if cache.add(_place(record.user_id, place), record.id, settings.SESSION_IDLE_SECONDS):
                return place
    raise TooManySessions(limit=settings.SESSIONS_PER_USER)


def put_session(record: SessionRecord, as_of: int = 0) -> None:
    """Keep a session; one of the backend `cache` until it has been idle for `SESSION_IDLE_SECONDS`.

    Raises PartAway when a session of the backend `cache` could not be kept.
    """
    is_copy = record.backend == "database"
    if is_copy and not record.sealed and is_encrypted(record.user_id):
        # from before its rule: it stays where it is
        return
    text = orjson.dumps({"as_of": as_of, "record": as_json(record)})
    try:
        with breaker.guard():
            cache.set(_key(record.id), text, COPY_SECONDS if is_copy else settings.SESSION_IDLE_SECONDS)
            if record.place is not None:
                _keep_place(record, record.place)
    except PartAway:
        if not is_copy:
            raise


def drop_copies(ids: Iterable[str]) -> None:
    """Forget copies, as far as the cache answers; those that it keeps all the same end with their time."""
    with contextlib.suppress(PartAway), breaker.guard():
        cache.delete_many([_key(id) for id in ids])


def drop_session(record: SessionRecord) -> None:
    """Forget a session of the backend `cache` that was not made after all, and free its place, if the cache answers."""
    with contextlib.suppress(PartAway), breaker.guard():
        cache.delete(_key(record.id))
        if record.place is not None:
            cache.delete(_place(record.user_id, record.place))


def touch_session(record: SessionRecord) -> None:
    """A session of the backend `cache` was used: it is kept for another `SESSION_IDLE_SECONDS`. Raises PartAway."""
    with breaker.guard():
        cache.touch(_key(record.id), settings.SESSION_IDLE_SECONDS)
        if record.place is not None:
            _keep_place(record, record.place)


def _keep_place(record: SessionRecord, place: int) -> None:
    """As long as the session itself is kept, or no more when it has ended."""
    key = _place(record.user_id, place)
    if record.is_living:
        cache.set(key, record.id, settings.SESSION_IDLE_SECONDS)
    else:
        cache.delete(key)


def _place(user_id: str, place: int) -> str:
    return f"session-place:{user_id}:{place}"


def _key(id: str) -> str:
    return f"session:{id}"
