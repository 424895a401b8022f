"""Reading the trail: the newest entries first, by what an auditor asks for (contract §8)."""

import base64
import binascii
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import orjson

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
class Cursor:
    """A place in the trail: an entry by its time and its number."""

    timestamp: datetime
    sequence: int

    def encode(self) -> str:
        """The cursor as callers hand it back."""
        return base64.urlsafe_b64encode(orjson.dumps([self.timestamp, self.sequence])).decode().rstrip("=")

    @classmethod
    def decode(cls, text: str) -> "Cursor":
        """The cursor that `encode` wrote. Raises InvalidParams for any other text."""
        try:
            timestamp, sequence = orjson.loads(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)))
            moment = datetime.fromisoformat(timestamp).astimezone(UTC)
        except (binascii.Error, ValueError, TypeError, OverflowError):
            raise InvalidParams("The cursor is not one that was given here.") from None
        if not isinstance(sequence, int) or abs(sequence) >= 2**63:
            raise InvalidParams("The cursor is not one that was given here.")
        return cls(moment, sequence)


def list_entries(selection: Selection, after: Cursor | None, limit: int) -> tuple[list[AuditEntry], Cursor | None]:
    """Entries behind a cursor, the newest first, and the cursor of the next page if there is one."""
    rows = selection.apply(AuditEntry.objects.order_by("-timestamp", "-sequence"))
    if after is not None:
        # not an OR of two ranges: this form keeps the database on one range of its index
        rows = rows.filter(timestamp__lte=after.timestamp)
        rows = rows.exclude(timestamp=after.timestamp, sequence__gte=after.sequence)
    entries = list(rows[: limit + 1])
    if len(entries) <= limit:
        return entries, None
    last = entries[limit - 1]
    return entries[:limit], Cursor(last.timestamp, last.sequence)


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
