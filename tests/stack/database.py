"""What the databases of a cluster hold, read past the product: the truth that clients are compared with."""

import json
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import psycopg

Row = Sequence[Any]
Entry = dict[str, Any]

ALL_COLUMNS = (
    *("id", "queue", "action", "outcome", "code", "resource_type", "resource_id", "source_ip", "user_agent"),
    *("user_id", "user_name", "session_id", "request_id", "transport", "details"),
)
ENTRY_COLUMNS = ("id", "action", "outcome", "code", "resource_id", "source_ip", "transport", "details")


class Database:
    """Read-only questions to one database, by its URL (sqlite:///path or postgresql://…); `%s` marks parameters."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.is_sqlite = url.startswith("sqlite:///")

    def rows(self, query: str, *values: Any) -> Sequence[Row]:
        if self.is_sqlite:
            path = Path(self.url.removeprefix("sqlite:///"))
            with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True, timeout=20)) as connection:
                return connection.execute(query.replace("%s", "?"), values).fetchall()
        with psycopg.connect(self.url) as connection:
            return connection.execute(query.encode(), values).fetchall()

    @contextmanager
    def transaction(self, *, commits: bool = False) -> Iterator[psycopg.Cursor]:
        """A transaction of our own on PostgreSQL, to hold locks in; at the end it commits or is rolled back."""
        with psycopg.connect(self.url) as connection:
            yield connection.cursor()
            if not commits:
                connection.rollback()


class Truth:
    """The main database and the audit database of a cluster."""

    def __init__(self, main: Database, audit: Database) -> None:
        self.main = main
        self.audit = audit

    def head(self) -> int:
        """The last offset of the log."""
        ((head,),) = self.main.rows("SELECT head FROM resources_app_loghead WHERE stream = 'changes'")
        return int(head)

    def log(self, prefix: str, after: int = 0) -> list[tuple[int, str, int]]:
        """(offset, URI, version) of every event below a prefix, in order."""
        rows = self.main.rows(
            'SELECT "offset", uri, version FROM resources_app_event'
            ' WHERE "offset" > %s AND uri >= %s AND uri < %s ORDER BY "offset"',
            after,
            prefix,
            prefix + "\x7f",
        )
        return [(offset, uri, version) for offset, uri, version in rows]

    def times(self, prefix: str) -> list[float]:
        """When every event below a prefix happened, as its writer's clock had it, in the order of the log."""
        rows = self.main.rows(
            'SELECT time FROM resources_app_event WHERE uri >= %s AND uri < %s ORDER BY "offset"',
            prefix,
            prefix + "\x7f",
        )
        return [time.timestamp() for (time,) in rows]

    def offsets(self) -> list[int]:
        """Every offset that the log holds, in order."""
        return [offset for (offset,) in self.main.rows('SELECT "offset" FROM resources_app_event ORDER BY "offset"')]

    def versions(self, prefix: str) -> dict[str, int]:
        """URI → version of every resource below a prefix that is not deleted."""
        rows = self.main.rows(
            "SELECT uri, version FROM resources_app_resource WHERE uri >= %s AND uri < %s AND NOT deleted",
            prefix,
            prefix + "\x7f",
        )
        return dict(rows)  # type: ignore[arg-type]

    def entries(self, prefix: str) -> list[Entry]:
        """Audit entries on resources below a prefix: those that were moved and those that wait, each once."""
        # in this order: what is moved meanwhile is in the trail before it leaves the outbox
        waiting = [json.loads(text) for (text,) in self.main.rows("SELECT entry FROM audit_app_outboxentry")]
        entries = {entry["id"]: entry for entry in self.moved_entries(prefix)}
        for entry in waiting:
            if entry["resource_id"].startswith(prefix):
                entries.setdefault(entry["id"], {name: entry[name] for name in ENTRY_COLUMNS})
        return list(entries.values())

    def moved_entries(self, prefix: str) -> list[Entry]:
        """Audit entries on resources below a prefix that are in the audit database."""
        rows = self.audit.rows(
            f"SELECT {', '.join(ENTRY_COLUMNS)} FROM audit_app_auditentry WHERE resource_id >= %s AND resource_id < %s",
            prefix,
            prefix + "\x7f",
        )
        return [dict(zip(ENTRY_COLUMNS, (str(row[0]), *row[1:-1], json.loads(row[-1])), strict=True)) for row in rows]

    def entries_by(self, user_agent: str) -> list[Entry]:
        """All audit entries of a client by its user agent, whole: those that were moved and those that wait.

        What a library puts behind the name of its client, after a blank, does not count.
        """
        waiting = self.main.rows("SELECT queue, entry FROM audit_app_outboxentry")
        moved = self.audit.rows(
            f"SELECT {', '.join(ALL_COLUMNS)} FROM audit_app_auditentry WHERE user_agent = %s OR user_agent LIKE %s",
            user_agent,
            f"{user_agent} %",
        )
        found = [dict(zip(ALL_COLUMNS, (*row[:-1], json.loads(row[-1])), strict=True)) for row in moved]
        entries = {str(entry["id"]): {**entry, "user": entry["user_name"]} for entry in found}
        for queue, text in waiting:
            entry = json.loads(text)
            if f"{entry['user_agent']} ".startswith(f"{user_agent} "):
                entries.setdefault(entry["id"], {**entry, "queue": queue})
        return list(entries.values())

    def waiting_entries(self) -> int:
        """How many entries wait to be moved."""
        ((count,),) = self.main.rows("SELECT count(*) FROM audit_app_outboxentry")
        return int(count)
