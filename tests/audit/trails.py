"""Trails for tests of what follows them: entries put where the mover would put them, as many as are wanted."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from django.db.models import Max, QuerySet
from uuid_utils import uuid7

from audit_app.models import AuditEntry
from audit_app.trail import Queue

START = datetime(2026, 11, 24, 12, 0, 0, 250_000, tzinfo=UTC)


class Clock:
    """A clock that a test steps."""

    def __init__(self) -> None:
        self.at = datetime.now(UTC)

    def __call__(self) -> datetime:
        return self.at

    def step(self, seconds: float) -> None:
        self.at += timedelta(seconds=seconds)


def add_entries(count: int, **fields: Any) -> list[str]:
    """Add entries behind the last one; returns their ids, in order."""
    last = AuditEntry.objects.aggregate(last=Max("sequence"))["last"] or 0
    entries = [entry_numbered(number, **fields) for number in range(last + 1, last + count + 1)]
    # past the manager, which lets nobody add anything
    rows: QuerySet[AuditEntry] = QuerySet(AuditEntry, using="audit")
    rows.bulk_create(entries, batch_size=2_000)
    return [entry.id for entry in entries]


def entry_numbered(sequence: int, **fields: Any) -> AuditEntry:
    """An entry that is in no database."""
    values: dict[str, Any] = {
        "id": str(uuid7()),
        "sequence": sequence,
        "timestamp": START + timedelta(milliseconds=sequence),
        "queue": Queue.DATA,
        "user_id": "3",
        "user": "alice",
        "action": "resources/write",
        "outcome": "success",
        "resource_type": "resource",
        "resource_id": f"resource://demo.local/notes/{sequence}",
        "details": '{"version":1}',
        "source_ip": "192.0.2.1",
        "user_agent": "curl/8",
        "request_id": f"request-{sequence}",
        "transport": "rest",
        "prev_hash": "0" * 64,
        "hash": "a" * 64,
    }
    return AuditEntry(**values | fields)


def is_each_once(sequences: Sequence[int], count: int) -> bool:
    """Whether they are 1 to `count`, each once, in order."""
    return list(sequences) == list(range(1, count + 1))
