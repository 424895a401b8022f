"""Reading the trail: the newest entries first, by what an auditor asks for (contract §8)."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import orjson
from django.db.models import Max

from audit_app.errors import InvalidParams
from audit_app.models import AuditEntry, Trail
from audit_app.trail import Queue


@dataclass(frozen=True, slots=True, kw_only=True)
class Selection:
    """Which entries are wanted; what is None does not matter. `since` is included, `until` is not."""

    queue: Queue | None = None
    action: str | None = None
    user: str | None = None
    resource: str | None = None
    outcome: str | None = None
    since: datetime | None = None
    until: datetime | None = None

    def apply(self, rows: Trail) -> Trail:
        wanted: dict[str, Any] = {
            "queue": self.queue,
            "action": self.action,
            "user": self.user,
            "resource_id": self.resource,
            "outcome": self.outcome,
            "timestamp__gte": self.since,
            "timestamp__lt": self.until,
        }
        return rows.filter(**{name: value for name, value in wanted.items() if value is not None})


@dataclass(frozen=True, slots=True)
class Place:
    """A place in the trail: that of an entry, by its time and its number."""

    timestamp: datetime
    sequence: int

    def __str__(self) -> str:
        return f"{self.timestamp.isoformat()} {self.sequence}"

    @classmethod
    def of(cls, entry: AuditEntry) -> "Place":
        return cls(entry.timestamp, entry.sequence)

    @classmethod
    def parse(cls, text: str) -> "Place":
        """The place that a text names. Raises InvalidParams."""
        timestamp, _, sequence = text.partition(" ")
        try:
            place = cls(datetime.fromisoformat(timestamp).astimezone(UTC), int(sequence))
        except (ValueError, OverflowError):
            raise InvalidParams("The cursor is not one of this list.") from None
        if not 0 < place.sequence < 2**63:
            raise InvalidParams("The cursor is not one of this list.")
        return place


def list_entries(selection: Selection, after: Place | None, limit: int) -> list[AuditEntry]:
    """Entries behind a place, the newest first."""
    rows = selection.apply(AuditEntry.objects.order_by("-timestamp", "-sequence"))
    if after is not None:
        # not an OR of two ranges: this form keeps the database on one range of its index
        rows = rows.filter(timestamp__lte=after.timestamp)
        rows = rows.exclude(timestamp=after.timestamp, sequence__gte=after.sequence)
    return list(rows[:limit])


def trail_head() -> int:
    """The number of the last entry; 0 for an empty trail."""
    return AuditEntry.objects.aggregate(last=Max("sequence"))["last"] or 0


def entry_json(entry: AuditEntry) -> Mapping[str, Any]:
    """An entry as callers read it (contract §8)."""
    record: dict[str, Any] = {
        "id": entry.id,
        "sequence": entry.sequence,
        "timestamp": entry.timestamp,
        "queue": Queue(entry.queue).name.lower(),
        "user_id": entry.user_id,
        "user": entry.user,
        "action": entry.action,
        "outcome": entry.outcome,
    }
    if entry.code:
        record["code"] = entry.code
    return record | {
        "resource_type": entry.resource_type,
        "resource_id": entry.resource_id,
        "details": orjson.Fragment(entry.details),
        "source_ip": entry.source_ip,
        "user_agent": entry.user_agent,
        "session_id": entry.session_id,
        "request_id": entry.request_id,
        "transport": entry.transport,
        "prev_hash": entry.prev_hash,
        "hash": entry.hash,
    }
