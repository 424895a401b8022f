"""How the two databases are set up, and which model lives in which."""

import os
from pathlib import Path
from typing import Any

from django.db import connections
from django.db.models import Model

AUDIT = "audit"
AUDIT_APP = "audit_app"
MAIN_MODELS = frozenset({"outboxentry", "idempotencykey", "witness"})

SQLITE = "django.db.backends.sqlite3"
PRAGMAS = "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL; PRAGMA cache_size=-4000"
SQLITE_OPTIONS = {"transaction_mode": "IMMEDIATE", "timeout": 20, "init_command": PRAGMAS}
# The mover's batches touch many pages of the trail's indexes, and the same ones again and again: kept in memory, and
# copied into the file only after many batches, they cost the mover half.
AUDIT_PRAGMAS = "; PRAGMA wal_autocheckpoint=10000; PRAGMA cache_size=-16000"
# who waits for a connection tries again by itself, for as long as it may (audit_app/recovery.py); left alone, the pool
# doubles its pauses up to five minutes, and would find a server long after it is back
POOL = {"min_size": 1, "max_size": 24, "timeout": 2, "reconnect_timeout": 2, "max_idle": 300}
POSTGRESQL_OPTIONS = {"pool": POOL, "connect_timeout": 5}
IN_AUDIT_SCHEMA = {"options": "-c search_path=audit"}


def databases(main: dict[str, Any] | None, audit: dict[str, Any] | None, folder: Path) -> dict[str, dict[str, Any]]:
    """Django's DATABASES from what the environment names; SQLite files in `folder` where it names nothing.

    SQLite: WAL and synchronous FULL, so that a commit is durable, BEGIN IMMEDIATE, so that a transaction that reads
    first never meets "locked", and connections that stay open, because opening one costs milliseconds. PostgreSQL: a
    pool of psycopg's; when only the main database is named, the trail is kept there too, in a schema `audit`.
    """
    main = main or _file(folder / "erlmcp.sqlite3")
    if audit is None and _is_file(main):
        audit = _file(folder / "audit.sqlite3")
    elif audit is None:
        audit = main | {"OPTIONS": main.get("OPTIONS", {}) | IN_AUDIT_SCHEMA}
    if _is_file(audit):
        pragmas = PRAGMAS + AUDIT_PRAGMAS
        audit = audit | {"OPTIONS": {"init_command": pragmas} | audit.get("OPTIONS", {})}
    return {"default": _completed(main, folder / "test"), AUDIT: _completed(audit, folder / "test_audit")}


def make_audit_schema(using: str, **signal: Any) -> None:
    """Make the schema that the audit database's search path names. For Django's `pre_migrate`."""
    connection = connections[using]
    if using == AUDIT and connection.settings_dict["OPTIONS"].get("options") == IN_AUDIT_SCHEMA["options"]:
        with connection.cursor() as cursor:
            cursor.execute("CREATE SCHEMA IF NOT EXISTS audit")


class AuditRouter:
    """The audit trail has a database of its own; what the writer commits with the work stays with the data."""

    def db_for_read(self, model: type[Model], **hints: Any) -> str | None:
        return AUDIT if _is_trail(model._meta.app_label, model._meta.model_name) else None

    def db_for_write(self, model: type[Model], **hints: Any) -> str | None:
        return self.db_for_read(model)

    def allow_migrate(self, db: str, app_label: str, model_name: str | None = None, **hints: Any) -> bool | None:
        """Migrations without a model may name their database by the hint `database`."""
        if model_name is None:
            wanted = hints.get("database")
            return None if wanted is None else bool(db == wanted)
        return (db == AUDIT) == _is_trail(app_label, model_name)


def _is_trail(app_label: str, model_name: str | None) -> bool:
    return app_label == AUDIT_APP and model_name not in MAIN_MODELS


def _file(path: Path) -> dict[str, Any]:
    return {"ENGINE": SQLITE, "NAME": str(path)}


def _is_file(config: dict[str, Any]) -> bool:
    return bool(config["ENGINE"] == SQLITE)


def _completed(config: dict[str, Any], test: Path) -> dict[str, Any]:
    given = config.get("OPTIONS", {})
    if _is_file(config):
        # a file of its own for every run of the tests: the writer's connection has to see what the test's sees
        test_name = f"{test}-{os.getpid()}.sqlite3"
        return config | {"OPTIONS": SQLITE_OPTIONS | given, "CONN_MAX_AGE": None, "TEST": {"NAME": test_name}}
    test_name = f"{test.name}_{config['NAME']}"
    return config | {"OPTIONS": POSTGRESQL_OPTIONS | given, "CONN_MAX_AGE": 0, "TEST": {"NAME": test_name}}
