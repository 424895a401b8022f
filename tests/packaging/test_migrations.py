"""The code of one release works on the schema of the next, so that nodes can be upgraded one at a time."""

import pytest
from django.db.migrations import Migration
from django.db.migrations.loader import MigrationLoader
from django.db.migrations.operations import (
    AddConstraint,
    AddField,
    AddIndex,
    AlterModelOptions,
    CreateModel,
    RemoveIndex,
    RunPython,
)
from django.db.migrations.operations.base import Operation
from django.db.models import NOT_PROVIDED

OURS = ("audit_app", "encryption_app", "resources_app", "sessions_app", "telemetry_app")
EXPANDS = (AddConstraint, AddField, AddIndex, AlterModelOptions, CreateModel, RemoveIndex, RunPython)
CONTRACTS: dict[str, str] = {
    # since when nobody runs code that would mind
    "audit_app.0003_chain": "before 0.1.0",
    "resources_app.0003_loghead_prefixes": "before 0.1.0",
}


def migrations() -> list[Migration]:
    disk = MigrationLoader(None).disk_migrations
    return [migration for (app, _), migration in sorted(disk.items()) if app in OURS]


def objection(operation: Operation) -> str | None:
    """What code that does not know of an operation would stumble over."""
    if not isinstance(operation, EXPANDS):
        return f"{operation.describe()}: takes away or changes what may be in use"
    if isinstance(operation, AddField) and not operation.field.null and operation.field.db_default is NOT_PROVIDED:
        return f"{operation.describe()}: without null or db_default, rows cannot be added that lack it"
    return None


@pytest.mark.parametrize("migration", migrations(), ids=str)
def test_a_migration_only_expands(migration: Migration) -> None:
    found = [told for operation in migration.operations if (told := objection(operation))]
    assert bool(found) == (str(migration) in CONTRACTS), found
