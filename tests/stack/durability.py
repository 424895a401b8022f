"""What a commit of a test in this process costs: no test turns the machine off."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from django.db import connections
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.backends.signals import connection_created


def force_nothing(connection: BaseDatabaseWrapper, **signal: Any) -> None:
    """SQLite leaves it to the system when a commit reaches the disk; it outlives its process as before."""
    if connection.vendor == "sqlite":
        connection.connection.execute("PRAGMA synchronous=OFF")


@contextmanager
def as_shipped(alias: str) -> Iterator[BaseDatabaseWrapper]:
    """A new connection of this thread, as the product makes it."""
    connection_created.disconnect(force_nothing)
    try:
        connections[alias].close()
        yield connections[alias]
    finally:
        connections[alias].close()
        connection_created.connect(force_nothing)
