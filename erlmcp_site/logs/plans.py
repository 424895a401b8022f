"""How the database goes about a query, without anything that the query is about.

Of PostgreSQL's plans only the names of nodes, tables and indexes are told, and what they are expected to cost: their
conditions hold the values of parameters. SQLite's plans show placeholders.
"""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import orjson
from django.db import connections
from django.db.backends.base.base import BaseDatabaseWrapper

EXPLAIN = "EXPLAIN "
LOCK_MILLISECONDS = 2_000
PREPOSITIONS = {"Index Name": "using", "Relation Name": "on", "CTE Name": "on", "Function Name": "on"}


def plan_of(alias: str, sql: str, params: Any) -> list[str]:
    """The plan of a query that reads, a line a node, indented under the one that asks for it; nothing is executed.

    Takes a connection of the present thread, and closes it. Raises what the database raises.
    """
    connection = connections[alias]
    try:
        if connection.vendor == "postgresql":
            return list(_nodes(_explained(connection, sql, params)))
        with connection.cursor() as cursor:
            cursor.execute(f"{EXPLAIN}QUERY PLAN {sql}", params)
            return list(_steps(cursor.fetchall()))
    finally:
        connection.close()


def _explained(connection: BaseDatabaseWrapper, sql: str, params: Any) -> dict[str, Any]:
    with connection.cursor() as cursor, _short_waits(cursor):
        cursor.execute(f"{EXPLAIN}(FORMAT JSON) {sql}", params)
        (told,) = cursor.fetchone()
    (found,) = orjson.loads(told) if isinstance(told, str) else told
    plan: dict[str, Any] = found["Plan"]
    return plan


@contextmanager
def _short_waits(cursor: Any) -> Iterator[None]:
    """Whoever changes the table keeps nobody but this waiting, and not for long."""
    cursor.execute(f"SET lock_timeout = {LOCK_MILLISECONDS}")
    try:
        yield
    finally:
        cursor.execute("RESET lock_timeout")


def _nodes(node: dict[str, Any], depth: int = 0) -> Iterator[str]:
    words = [str(node["Node Type"])]
    words += [f"{word} {node[name]}" for name, word in PREPOSITIONS.items() if name in node]
    yield f"{'  ' * depth}{' '.join(words)} (rows {node['Plan Rows']}, cost {node['Total Cost']})"
    for below in node.get("Plans", ()):
        yield from _nodes(below, depth + 1)


def _steps(rows: Iterable[tuple[int, int, int, str]]) -> Iterator[str]:
    depths = {0: -1}
    for id, parent, _, detail in rows:
        depths[id] = depths.get(parent, -1) + 1
        yield f"{'  ' * depths[id]}{detail}"
