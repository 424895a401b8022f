"""Reading the databases from the event loop, on threads of our own.

asgiref's thread-sensitive executor runs everything on one thread, where one slow query delays every caller; these
threads are only for reads, each with its own connection, given back after every call.
"""

import asyncio
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import ParamSpec, TypeVar

from django.db import DatabaseError, InterfaceError, close_old_connections, connections

from audit_app.failures import passes

THREADS = 8
AGAIN_WITHIN_SECONDS = 1.0

P = ParamSpec("P")
T = TypeVar("T")

_executor = ThreadPoolExecutor(THREADS, thread_name_prefix="database")


async def in_database(read: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Run a function that reads through the Django ORM on a thread. Raises what it raises.

    A read that failed at once for a passing reason (its pooled connection was dead, a deadlock) is made again, for up
    to a second.
    """

    def call() -> T:
        until = time.monotonic() + AGAIN_WITHIN_SECONDS
        while True:
            try:
                return read(*args, **kwargs)
            except (DatabaseError, InterfaceError) as error:
                if not passes(error) or time.monotonic() >= until:
                    raise
            finally:
                close_old_connections()
            drop_dead_connections()

    return await asyncio.get_running_loop().run_in_executor(_executor, call)


def drop_dead_connections() -> None:
    """Have the pools of this thread's databases look which of their connections are still good."""
    for connection in connections.all(initialized_only=True):
        pool = getattr(connection, "pool", None)
        if pool is not None and not pool.closed:
            pool.check()
