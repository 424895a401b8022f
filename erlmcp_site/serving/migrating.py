"""Bringing every database to the present schema before anything is served."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from django.core.management import call_command
from django.db import DatabaseError, connections
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.migrations.executor import MigrationExecutor

from audit_app.failures import is_away
from audit_app.recovery import pauses

WAIT_SECONDS = 30.0
ADVISORY_LOCK = 0x65726C6D6370


def migrate_databases(say: Callable[[str], None]) -> dict[str, list[str]]:
    """Apply what is missing, database by database, saying each migration; quick when nothing is.

    Nodes that start at once take turns (PostgreSQL). Returns the names of what was applied, by database.
    """
    applied: dict[str, list[str]] = {}
    for alias in connections:
        connection = connections[alias]
        with _alone(connection):
            executor = MigrationExecutor(connection)
            plan = executor.migration_plan(executor.loader.graph.leaf_nodes())
            if plan:
                say(f"database {alias}: applying {len(plan)} migrations")
                call_command("migrate", database=alias, interactive=False, verbosity=1)
                applied[alias] = [f"{migration.app_label}.{migration.name}" for migration, _ in plan]
    return applied


class NoDatabase(Exception):
    """A database did not answer in time; the message says which, and why."""


def await_databases(say: Callable[[str], None]) -> None:
    """Return when every database answers: they may be started together with us. Raises NoDatabase after 30 s."""
    until = time.monotonic() + WAIT_SECONDS
    for alias in connections:
        told = ""
        for pause in pauses(until):
            try:
                connections[alias].ensure_connection()
                break
            except DatabaseError as error:
                if not is_away(error):
                    raise
                if not told:
                    say(f"waiting for the database {alias}")
                told = str(error)
            # bounded, and with jitter: see pauses; time.sleep fails under libfaketime, with which clocks are stepped
            threading.Event().wait(pause)
        else:
            raise NoDatabase(f"The database {alias} does not answer: {told}")


@contextmanager
def _alone(connection: BaseDatabaseWrapper) -> Iterator[None]:
    if connection.vendor != "postgresql":
        yield
        return
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_lock(%s)", [ADVISORY_LOCK])
        try:
            yield
        finally:
            cursor.execute("SELECT pg_advisory_unlock(%s)", [ADVISORY_LOCK])
