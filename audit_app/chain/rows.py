"""The rows of the trail as the database has them, whoever wrote them, in portions.

Past Django's models: those cost 20 µs a row, and fail on values that no mover writes.
"""

from collections.abc import Iterator, Sequence
from typing import Any

import psycopg
from django.db import DatabaseError, connections, router
from django.db.backends.base.base import BaseDatabaseWrapper

from audit_app.bulk import Table, table_of
from audit_app.chain.canonical import FIELDS
from audit_app.models import AuditEntry

PORTION = 2000

ENTRIES = table_of(AuditEntry, "sequence", *FIELDS, "prev_hash", "hash")
HASHES = table_of(AuditEntry, "sequence", "hash")

Rows = Sequence[tuple[Any, ...]]


def portions(table: Table, after: int, until: int) -> Iterator[Rows]:
    """The rows with a sequence number in (after, until], in their order; the number is the first column.

    Moments are aware datetimes, or the text that orjson makes of them. A row that cannot be read, because its values
    are not what its columns can hold, is its number and nothing else. Raises django.db.DatabaseError.
    """
    connection = connections[router.db_for_read(AuditEntry)]
    while rows := _portion(connection, table, after, until):
        yield rows
        after = rows[-1][0]


def _portion(connection: BaseDatabaseWrapper, table: Table, after: int, until: int) -> Rows:
    try:
        return _select(connection, table, after, until, PORTION)
    except DatabaseError:
        found = _select(connection, table_of(AuditEntry, "sequence"), after, until, PORTION)
        return [_single(connection, table, number, until) for (number,) in found]


def _single(connection: BaseDatabaseWrapper, table: Table, number: Any, until: int) -> tuple[Any, ...]:
    try:
        (row,) = _select(connection, table, number - 1, until, 1)
    except DatabaseError:
        return (number, *[None] * (len(table.columns) - 1))
    return row


def _select(connection: BaseDatabaseWrapper, table: Table, after: int, until: int, limit: int) -> Rows:
    connection.ensure_connection()
    with connection.wrap_database_errors:
        if connection.vendor == "postgresql":
            cursor = psycopg.Cursor(connection.connection)
            cursor.execute(
                f"SELECT {table.quoted} FROM {table.name} WHERE sequence > %s AND sequence <= %s"
                " ORDER BY sequence LIMIT %s",
                [after, until, limit],
                binary=True,
            )
            return list(cursor.fetchall())
        # SQLite's own text of a moment differs from orjson's by two signs
        columns = table.quoted.replace('"timestamp"', "replace(\"timestamp\", ' ', 'T') || '+00:00'")
        cursor = connection.connection.cursor()
        cursor.execute(
            f"SELECT {columns} FROM {table.name} WHERE sequence > ? AND sequence <= ? ORDER BY sequence LIMIT ?",
            [after, until, limit],
        )
        return list(cursor.fetchall())
