"""The databases of tests in this process, as every test finds them.

Django flushes them after each test that commits: it empties every table and makes permissions and groups anew, which
takes longer than most tests do. Here only those tables that a test has written to are brought back.
"""

from collections.abc import Sequence
from typing import Any

from django.core.management import call_command
from django.db import connections, transaction
from django.test import TransactionTestCase

Row = tuple[Any, ...]

MANY_ROWS = 500
"""PostgreSQL keeps deleted rows until it vacuums, and goes through them meanwhile: so many are rather truncated."""


class Tables:
    """The tables of one database, which is flushed now, and what that leaves in them."""

    def __init__(self, alias: str) -> None:
        self._alias = alias
        connection = connections[alias]
        names = connection.introspection.django_table_names(only_existing=True, include_views=False)
        self._quoted = [connection.ops.quote_name(name) for name in names]
        self._keeps_deleted = connection.vendor == "postgresql"
        counts = (f"(SELECT count(*) FROM (SELECT 1 FROM {name} LIMIT {MANY_ROWS + 1}) AS s)" for name in self._quoted)
        self._counting = f"SELECT {', '.join(counts)}"
        self._first: dict[str, list[Row]] = {}
        self.flush()

    def flush(self) -> None:
        """Empty all, and remember what is there then."""
        call_command("flush", verbosity=0, interactive=False, database=self._alias, reset_sequences=False)
        self._first = {name: self._rows(name) for name, count in self._counts().items() if count}

    def restore(self) -> None:
        """Bring back what a flush leaves."""
        counts = self._counts()
        if self._keeps_deleted and max(counts.values()) > MANY_ROWS:
            self.flush()
            return
        changed = [name for name, count in counts.items() if count and name not in self._first]
        changed += [name for name, rows in self._first.items() if self._rows(name) != rows]
        if not changed:
            return
        # foreign keys are looked at when it commits
        with transaction.atomic(using=self._alias), connections[self._alias].cursor() as cursor:
            for name in changed:
                cursor.execute(f"DELETE FROM {name}")
            for name in changed:
                if rows := self._first.get(name):
                    places = ", ".join(["%s"] * len(rows[0]))
                    cursor.executemany(f"INSERT INTO {name} VALUES ({places})", rows)

    def _counts(self) -> dict[str, int]:
        (counts,) = self._select(self._counting)
        return dict(zip(self._quoted, counts, strict=True))

    def _rows(self, name: str) -> list[Row]:
        return sorted(self._select(f"SELECT * FROM {name}"), key=repr)

    def _select(self, query: str) -> Sequence[Row]:
        with connections[self._alias].cursor() as cursor:
            cursor.execute(query)
            rows: Sequence[Row] = cursor.fetchall()
            return rows


def restore_instead_of_flush() -> None:
    """From now on, tests in this process leave behind what a flush does.

    Only databases that tests use are touched: of the others there may be none for tests.
    """
    tables: dict[str, Tables] = {}

    def restore(case: TransactionTestCase) -> None:
        # no other database is one for tests
        for alias in case._databases_names(include_mirrors=False):  # type: ignore[attr-defined]
            if alias in tables:
                tables[alias].restore()
            else:
                tables[alias] = Tables(alias)

    TransactionTestCase._fixture_teardown = restore  # type: ignore[attr-defined]
