"""Reading the databases from the event loop, on threads of our own.

asgiref's thread-sensitive executor runs everything on one thread, where one slow query delays every caller; these
threads are only for reads, each with its own connection, given back after every call.
"""

import asyncio
import contextlib
import math
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from typing import ParamSpec, TypeVar

from django.db import DatabaseError, InterfaceError, close_old_connections, connection, connections

from audit_app.breaker import Breaker
from audit_app.deadlines import deadline
from audit_app.errors import DeadlineExceeded
from audit_app.failures import category_of, is_away
from audit_app.recovery import READS, pauses

THREADS = 8

P = ParamSpec("P")
T = TypeVar("T")

breaker = Breaker(READS, counts=is_away)
"""For reads. Without it, each read would hold a thread for as long as it is tried again, and the others would queue."""

_executor = ThreadPoolExecutor(THREADS, thread_name_prefix="database")


async def in_database(read: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Run a function that reads through the Django ORM on a thread.

    A read that failed for a reason that passes (its pooled connection was dead, a deadlock) is made again for up to
    `READS.retry_seconds`. Raises what the function raises, and PartAway when no database answers; at once when none
    did a moment ago. What the deadline of the present request does not let begin is not read: DeadlineExceeded.
    """
    call = partial(_guarded, partial(read, *args, **kwargs), deadline.get())
    return await asyncio.get_running_loop().run_in_executor(_executor, call)


def _guarded(read: Callable[[], T], until: float | None) -> T:
    if _is_late(until):
        raise DeadlineExceeded()
    with breaker.guard():
        if breaker.is_open:
            # a trial, whose read may well end in a cache
            _persistent(_ask, None)
        return _persistent(read, until)


def _persistent(read: Callable[[], T], until: float | None) -> T:
    failure: Exception | None = None
    for pause in pauses(time.monotonic() + READS.retry_seconds):
        try:
            with _limited(until):
                return read()
        except (DatabaseError, InterfaceError) as error:
            if category_of(error) != "retryable" or _is_late(until):
                raise
            failure = error
        finally:
            close_old_connections()
        drop_dead_connections()
        # bounded, and with jitter: see pauses
        time.sleep(pause)
    assert failure is not None
    raise failure


def _is_late(until: float | None) -> bool:
    return until is not None and until <= time.monotonic()


@contextmanager
def _limited(until: float | None) -> Iterator[None]:
    """Have PostgreSQL give up what a caller with little time does not wait for; others are spared the two questions."""
    seconds = math.inf if until is None else until - time.monotonic()
    if seconds > READS.retry_seconds or connection.vendor != "postgresql":
        yield
        return
    _ask(f"SET statement_timeout = {max(1, int(seconds * 1000))}")
    try:
        yield
    finally:
        # a connection that does not take this is lost, and nobody gets it again
        with contextlib.suppress(DatabaseError, InterfaceError):
            _ask("RESET statement_timeout")


def _ask(question: str = "SELECT 1") -> None:
    with connection.cursor() as cursor:
        cursor.execute(question)


def drop_dead_connections() -> None:
    """Have the pools of this thread's databases look which of their connections are still good."""
    for used in connections.all(initialized_only=True):
        pool = getattr(used, "pool", None)
        if pool is not None and not pool.closed:
            pool.check()
