"""Reading the databases from the event loop, on threads of our own.

asgiref's thread-sensitive executor runs everything on one thread, where one slow query delays every caller; these
threads are only for reads, each with its own connection, given back after every call. Those for the trail are others:
a question to an audit database that does not answer holds nobody up who asks the main one.
"""

import asyncio
import contextlib
import math
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from typing import Any, ParamSpec, TypeVar

from django.db import DatabaseError, InterfaceError, close_old_connections, connections, router
from django.db.models import Model

from audit_app.breaker import Breaker
from audit_app.deadlines import deadline
from audit_app.errors import DeadlineExceeded
from audit_app.failures import category_of, is_away
from audit_app.models import AuditEntry, OutboxEntry
from audit_app.recovery import READS, TRAIL_READS, Strategy, pauses

P = ParamSpec("P")
T = TypeVar("T")


class Readers:
    """Threads that read the database of a model, and a breaker that keeps them from it while it does not answer.

    Without the breaker, each read would hold a thread for as long as it is tried again, and the others would queue.
    """

    def __init__(self, model: type[Model], strategy: Strategy, threads: int) -> None:
        self._model = model
        self.strategy = strategy
        self._breaker = Breaker(strategy, counts=is_away)
        self._executor = ThreadPoolExecutor(threads, thread_name_prefix=strategy.part)

    @property
    def threads(self) -> int:
        """How many threads have been started."""
        return len(self._executor._threads)

    @property
    def waiting(self) -> int:
        """How many reads wait for a thread."""
        return self._executor._work_queue.qsize()

    async def run(self, read: Callable[[], T]) -> T:
        """See `in_database`."""
        call = partial(self._guarded, read, deadline.get())
        return await asyncio.get_running_loop().run_in_executor(self._executor, call)

    def _guarded(self, read: Callable[[], T], until: float | None) -> T:
        if _is_late(until):
            raise DeadlineExceeded()
        with self._breaker.guard():
            if self._breaker.is_open:
                # a trial, whose read may well end in a cache
                self._persistent(self._ask, None)
            return self._persistent(read, until)

    def _persistent(self, read: Callable[[], T], until: float | None) -> T:
        failure: Exception | None = None
        for pause in pauses(time.monotonic() + self.strategy.retry_seconds):
            try:
                with self._limited(until):
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

    @contextmanager
    def _limited(self, until: float | None) -> Iterator[None]:
        """Have PostgreSQL give up what a caller with little time does not wait for; others are spared two questions."""
        seconds = math.inf if until is None else until - time.monotonic()
        if seconds > self.strategy.retry_seconds or self._connection.vendor != "postgresql":
            yield
            return
        self._ask(f"SET statement_timeout = {max(1, int(seconds * 1000))}")
        try:
            yield
        finally:
            # a connection that does not take this is lost, and nobody gets it again
            with contextlib.suppress(DatabaseError, InterfaceError):
                self._ask("RESET statement_timeout")

    @property
    def _connection(self) -> Any:
        """This thread's."""
        return connections[router.db_for_read(self._model)]

    def _ask(self, question: str = "SELECT 1") -> None:
        with self._connection.cursor() as cursor:
            cursor.execute(question)


main_readers = Readers(OutboxEntry, READS, threads=8)
trail_readers = Readers(AuditEntry, TRAIL_READS, threads=4)


async def in_database(read: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Run a function that reads the main database through the Django ORM on a thread.

    A read that failed for a reason that passes (its pooled connection was dead, a deadlock) is made again for up to
    `READS.retry_seconds`. Raises what the function raises, and PartAway when no database answers; at once when none
    did a moment ago. What the deadline of the present request does not let begin is not read: DeadlineExceeded.
    """
    return await main_readers.run(partial(read, *args, **kwargs))


async def in_trail(read: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """The same for a function that reads the audit database, by `TRAIL_READS`."""
    return await trail_readers.run(partial(read, *args, **kwargs))


def _is_late(until: float | None) -> bool:
    return until is not None and until <= time.monotonic()


def drop_dead_connections() -> None:
    """Have the pools of this thread's databases look which of their connections are still good."""
    for used in connections.all(initialized_only=True):
        pool = getattr(used, "pool", None)
        if pool is not None and not pool.closed:
            pool.check()
