"""Many rows in one statement, on PostgreSQL and SQLite alike.

Django's model layer costs 32 µs a row even in bulk (docs/architecture.md §2); the writer cannot afford that, so it
speaks to the driver below Django's open connection, inside Django's own transaction.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Protocol

import orjson
import psycopg
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.models import Model

Row = Sequence[Any]


@dataclass(frozen=True, slots=True)
class Table:
    """A table and some of its columns, each with its PostgreSQL type."""

    name: str
    columns: tuple[str, ...]
    types: tuple[str, ...]

    def index(self, column: str) -> int:
        return self.columns.index(column)

    @property
    def quoted(self) -> str:
        """The columns as SQL names them (one of ours, offset, is a reserved word)."""
        return ", ".join(f'"{column}"' for column in self.columns)


POSTGRES_TYPES = {
    "BigAutoField": "bigint",
    "BigIntegerField": "bigint",
    "PositiveBigIntegerField": "bigint",
    "IntegerField": "integer",
    "PositiveIntegerField": "integer",
    "SmallIntegerField": "smallint",
    "PositiveSmallIntegerField": "smallint",
    "BooleanField": "boolean",
    "CharField": "text",
    "TextField": "text",
    "BinaryField": "bytea",
    "DateTimeField": "timestamptz",
    "FloatField": "float8",
    "ForeignKey": "bigint",
}


def table_of(model: type[Model], *fields: str) -> Table:
    """The table of a model with the named fields as columns, in that order."""
    found = [field for name in fields for field in model._meta.concrete_fields if field.name == name]
    return Table(
        model._meta.db_table,
        tuple(str(field.column) for field in found),
        tuple(POSTGRES_TYPES[field.get_internal_type()] for field in found),
    )


class Bulk(Protocol):
    """Bulk statements on one open connection, inside the caller's transaction."""

    def limit(self, seconds: float) -> None:
        """Have the database give up statements of this transaction that take longer, where it can."""

    def select(self, table: Table, key: str, values: Iterable[Any], *, lock: bool = False) -> list[Row]:
        """Rows whose `key` is one of the values, in key order; `lock` keeps other writers out of them till commit."""

    def select_from_last(self, table: Table, key: str, order: str, places: Sequence[tuple[Any, int]]) -> list[Row]:
        """For each (value, n) the row that is n places before the last one, in `order`, with that value as `key`.

        None where there are fewer. `order` is a unique column; with an index on both it is a walk of n entries.
        """

    def lock_owners(self, table: Table, owners: Iterable[int]) -> None:
        """Keep other writers out, till commit, that lock one of these owners of rows of the table.

        Who counts an owner's rows to decide on one more sees then what the others have added. Nothing else is kept out.
        """

    def insert(self, table: Table, rows: Sequence[Row]) -> None:
        """Insert rows. Raises django.db.IntegrityError's driver cause when a unique key is taken."""

    def update(self, table: Table, key: str, rows: Sequence[Row]) -> None:
        """Set every column of the rows that have the same `key`."""

    def delete(self, table: Table, key: str, values: Sequence[Any]) -> None:
        """Delete the rows whose `key` is one of the values."""

    def insert_last(self, table: Table, rows: Sequence[Row]) -> str | None:
        """Insert rows of numbers and texts, as the last statement.

        Returns this transaction's id where one can ask for it later.
        """

    def advance(self, table: str, stream: str, count: int) -> int:
        """Take `count` numbers from a stream's head. Returns the new head."""

    def close(self) -> None:
        """Let go of the connection, on the thread that uses it, whoever still refers to this."""


class PostgreSQL:
    """Arrays in, `unnest` on the server: one round trip for any number of rows."""

    def __init__(self, connection: BaseDatabaseWrapper) -> None:
        connection.ensure_connection()
        self._cursor = psycopg.Cursor(connection.connection)

    def limit(self, seconds: float) -> None:
        self._cursor.execute(f"SET LOCAL statement_timeout = {max(1, int(seconds * 1000))}")

    def select(self, table: Table, key: str, values: Iterable[Any], *, lock: bool = False) -> list[Row]:
        array = f"{table.types[table.index(key)]}[]"
        self._cursor.execute(
            f'SELECT {table.quoted} FROM {table.name} WHERE "{key}" = ANY(%b::{array})'
            f' ORDER BY "{key}"{" FOR UPDATE" if lock else ""}',
            [sorted(set(values))],
        )
        return self._cursor.fetchall()

    def select_from_last(self, table: Table, key: str, order: str, places: Sequence[tuple[Any, int]]) -> list[Row]:
        if not places:
            return []
        array = f"{table.types[table.index(key)]}[]"
        self._cursor.execute(
            f"SELECT {table.quoted} FROM unnest(%b::{array}, %b::bigint[]) AS place(value, n)"
            f' CROSS JOIN LATERAL (SELECT "{order}" AS found FROM {table.name} WHERE "{key}" = place.value'
            f' ORDER BY "{order}" DESC OFFSET place.n LIMIT 1) AS row JOIN {table.name} ON "{order}" = found',
            [list(column) for column in zip(*places, strict=True)],
        )
        return self._cursor.fetchall()

    def lock_owners(self, table: Table, owners: Iterable[int]) -> None:
        # in order, as all locks are that one statement takes, so that two writers do not wait for each other
        if ordered := sorted(set(owners)):
            self._cursor.execute(
                "SELECT pg_advisory_xact_lock(%s::regclass::oid::int, owner) FROM unnest(%b::int[]) AS owner",
                [table.name, ordered],
            )

    def insert(self, table: Table, rows: Sequence[Row]) -> None:
        if rows:
            self._cursor.execute(self._insertion(table), [list(column) for column in zip(*rows, strict=True)])

    def insert_last(self, table: Table, rows: Sequence[Row]) -> str | None:
        columns = [list(column) for column in zip(*rows, strict=True)] or [[] for _ in table.columns]
        self._cursor.execute(f"WITH last AS ({self._insertion(table)}) SELECT pg_current_xact_id()::text", columns)
        ((transaction_id,),) = self._cursor.fetchall()
        return str(transaction_id)

    def update(self, table: Table, key: str, rows: Sequence[Row]) -> None:
        if rows:
            sets = ", ".join(f'"{column}" = fresh."{column}"' for column in table.columns if column != key)
            self._cursor.execute(
                f"UPDATE {table.name} AS old SET {sets} FROM unnest({self._arrays(table)})"
                f' AS fresh({table.quoted}) WHERE old."{key}" = fresh."{key}"',
                [list(column) for column in zip(*rows, strict=True)],
            )

    def delete(self, table: Table, key: str, values: Sequence[Any]) -> None:
        if values:
            array = f"{table.types[table.index(key)]}[]"
            self._cursor.execute(f'DELETE FROM {table.name} WHERE "{key}" = ANY(%b::{array})', [list(values)])

    def advance(self, table: str, stream: str, count: int) -> int:
        self._cursor.execute(f"UPDATE {table} SET head = head + %s WHERE stream = %s RETURNING head", [count, stream])
        ((head,),) = self._cursor.fetchall()
        return int(head)

    def close(self) -> None:
        self._cursor.close()

    def _insertion(self, table: Table) -> str:
        return f"INSERT INTO {table.name} ({table.quoted}) SELECT * FROM unnest({self._arrays(table)})"

    @staticmethod
    def _arrays(table: Table) -> str:
        return ", ".join(f"%b::{kind}[]" for kind in table.types)


class SQLite:
    """One prepared statement run once a row: there is no round trip to save. Only audit entries go in by one."""

    def __init__(self, connection: BaseDatabaseWrapper) -> None:
        connection.ensure_connection()
        self._cursor = connection.connection.cursor()
        self._moments: dict[datetime, str] = {}

    def limit(self, seconds: float) -> None:
        """SQLite has no such limit; with the lock in hand, no statement waits for anybody."""

    def select(self, table: Table, key: str, values: Iterable[Any], *, lock: bool = False) -> list[Row]:
        self._cursor.execute(
            f"SELECT {table.quoted} FROM {table.name}"
            f' WHERE "{key}" IN (SELECT value FROM json_each(?)) ORDER BY "{key}"',
            [orjson.dumps(list(set(values))).decode()],
        )
        return self._read(table, self._cursor.fetchall())

    def select_from_last(self, table: Table, key: str, order: str, places: Sequence[tuple[Any, int]]) -> list[Row]:
        rows: list[Row] = []
        for place in places:
            self._cursor.execute(
                f'SELECT {table.quoted} FROM {table.name} WHERE "{order}" = (SELECT "{order}" FROM {table.name}'
                f' WHERE "{key}" = ? ORDER BY "{order}" DESC LIMIT 1 OFFSET ?)',
                place,
            )
            rows += self._cursor.fetchall()
        return self._read(table, rows)

    def lock_owners(self, table: Table, owners: Iterable[int]) -> None:
        """SQLite has one writer at a time."""

    def insert(self, table: Table, rows: Sequence[Row]) -> None:
        marks = ", ".join("?" * len(table.columns))
        self._cursor.executemany(
            f"INSERT INTO {table.name} ({table.quoted}) VALUES ({marks})", self._write(table, rows)
        )

    def update(self, table: Table, key: str, rows: Sequence[Row]) -> None:
        at = table.index(key)
        sets = ", ".join(f'"{column}" = ?' for column in table.columns if column != key)
        self._cursor.executemany(
            f'UPDATE {table.name} SET {sets} WHERE "{key}" = ?',
            [(*row[:at], *row[at + 1 :], row[at]) for row in self._write(table, rows)],
        )

    def delete(self, table: Table, key: str, values: Sequence[Any]) -> None:
        self._cursor.executemany(f'DELETE FROM {table.name} WHERE "{key}" = ?', [(value,) for value in values])

    def insert_last(self, table: Table, rows: Sequence[Row]) -> str | None:
        if rows:
            # not row by row: each lets go of Python's lock, and waits for it while the event loop is busy
            taken = ", ".join(f"value ->> {number}" for number in range(len(table.columns)))
            self._cursor.execute(
                f"INSERT INTO {table.name} ({table.quoted}) SELECT {taken} FROM json_each(?)",
                [orjson.dumps(rows).decode()],
            )
        return None

    def advance(self, table: str, stream: str, count: int) -> int:
        self._cursor.execute(f"UPDATE {table} SET head = head + ? WHERE stream = ? RETURNING head", [count, stream])
        ((head,),) = self._cursor.fetchall()
        return int(head)

    def close(self) -> None:
        self._cursor.close()

    def _write(self, table: Table, rows: Sequence[Row]) -> Iterable[Row]:
        if "timestamptz" not in table.types:
            return rows
        return [tuple(self._moment(value) if isinstance(value, datetime) else value for value in row) for row in rows]

    def _moment(self, value: datetime) -> str:
        """Django's own text form of a moment in SQLite: UTC without a zone."""
        text = self._moments.get(value)
        if text is None:
            text = self._moments[value] = str(value.astimezone(UTC).replace(tzinfo=None))
        return text

    @staticmethod
    def _read(table: Table, rows: list[Row]) -> list[Row]:
        moments = [i for i, kind in enumerate(table.types) if kind == "timestamptz"]
        if not moments:
            return rows
        read: list[Row] = []
        for row in rows:
            values = list(row)
            for i in moments:
                if values[i] is not None:
                    values[i] = values[i].replace(tzinfo=UTC)
            read.append(values)
        return read


def bulk(connection: BaseDatabaseWrapper) -> Bulk:
    """The bulk statements for a connection's database. Raises KeyError for a database that is not supported."""
    kinds: dict[str, type[PostgreSQL] | type[SQLite]] = {"postgresql": PostgreSQL, "sqlite": SQLite}
    return kinds[connection.vendor](connection)
