"""The rows of the trail as the database has them, whoever wrote them, in portions.

Past Django's models: those cost 20 µs a row, and fail on values that no mover writes.
"""

import math
from collections.abc import Iterator, Sequence
from typing import Any

import psycopg
from django.db import DatabaseError, connections, router
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.models import Min

from audit_app.bulk import Table, table_of
from audit_app.chain.canonical import FIELDS
from audit_app.models import AuditEntry

PORTION = 2000

ENTRIES = table_of(AuditEntry, "sequence", *FIELDS, "prev_hash", "hash")
NUMBERS = table_of(AuditEntry, "sequence")
HASHES = table_of(AuditEntry, "sequence", "hash")

Rows = Sequence[tuple[Any, ...]]


def portions(table: Table, after: int, until: int, size: int = PORTION) -> Iterator[Rows]:
    """The rows with a sequence number in (after, until], in their order, up to `size` at once; the number comes first.

    Moments are aware datetimes, or the text that the API makes of them. A row that cannot be read, because its values
    are not what its columns can hold, is its number and nothing else. Raises django.db.DatabaseError.
    """
    connection = connections[router.db_for_read(AuditEntry)]
    while after < until:
        # a range and no LIMIT: PostgreSQL, which may know nothing of a young table yet, would sort all of it each time
        end = min(after + size, until)
        rows = _portion(connection, table, after, end)
        if rows:
            yield rows
            after = end
        else:
            after = _next(end, until) - 1


def _next(after: int, until: int) -> int:
    """The next number that an entry has, in (after, until]; beyond it when there is none."""
    found = AuditEntry.objects.filter(sequence__gt=after, sequence__lte=until).aggregate(first=Min("sequence"))["first"]
    return until + 1 if found is None else math.ceil(found)


def _portion(connection: BaseDatabaseWrapper, table: Table, after: int, until: int) -> Rows:
    try:
        return _select(connection, table, after, until)
    except DatabaseError:
        found = _select(connection, NUMBERS, after, until)
        return [row for (number,) in found for row in _single(connection, table, number)]


def _single(connection: BaseDatabaseWrapper, table: Table, number: Any) -> Rows:
    try:
        return _select(connection, table, number - 1, number)
    except DatabaseError:
        return [(number, *[None] * (len(table.columns) - 1))]


def _select(connection: BaseDatabaseWrapper, table: Table, after: Any, until: Any) -> Rows:
    connection.ensure_connection()
    with connection.wrap_database_errors:
        if connection.vendor == "postgresql":
            cursor = psycopg.Cursor(connection.connection)
            cursor.execute(
                f"SELECT {table.quoted} FROM {table.name} WHERE sequence > %s AND sequence <= %s ORDER BY sequence",
                [after, until],
                binary=True,
            )
            return list(cursor.fetchall())
        # SQLite's own text of a moment differs from the API's by two signs
        columns = table.quoted.replace('"timestamp"', "replace(\"timestamp\", ' ', 'T') || 'Z'")
        cursor = connection.connection.cursor()
        cursor.execute(
            f"SELECT {columns} FROM {table.name} WHERE sequence > ? AND sequence <= ? ORDER BY sequence", [after, until]
        )
        return list(cursor.fetchall())
