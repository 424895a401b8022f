"""Reading the databases from the event loop, on threads of our own.

asgiref's thread-sensitive executor runs everything on one thread, where one slow query delays every caller; these
threads are only for reads, each with its own connection, given back after every call.
"""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import ParamSpec, TypeVar

from django.db import close_old_connections

THREADS = 8

P = ParamSpec("P")
T = TypeVar("T")

_executor = ThreadPoolExecutor(THREADS, thread_name_prefix="database")


async def in_database(read: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Run a function that reads through the Django ORM on a thread. Raises what it raises."""

    def call() -> T:
        try:
            return read(*args, **kwargs)
        finally:
            close_old_connections()

    return await asyncio.get_running_loop().run_in_executor(_executor, call)
