"""Reading the trail by what an auditor asks for (contract §8): in pages by time, or the whole of a selection."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any

import orjson
from django.db import connections
from django.db.models import Max, Q, Value
from django.db.models.functions import Coalesce

from audit_app.errors import InvalidParams
from audit_app.models import AuditEntry, Trail
from audit_app.trail import Queue

FEW = 5_000
"""So many entries, found by the beginning of their URI, SQLite sorts by time within milliseconds."""

STEP = 1000

INDEXED = ("id", "user", "resource_id", "action", "request_id")


class Order(StrEnum):
    """Which end of the trail a list begins at."""

    NEWEST = "newest"
    OLDEST = "oldest"


@dataclass(frozen=True, slots=True, kw_only=True)
class Selection:
    """Which entries are wanted; what is None does not matter. `since` is included, `until` is not.

    A `resource` that ends in `/*` stands for everything below it.
    """

    queue: Queue | None = None
    action: str | None = None
    user: str | None = None
    resource: str | None = None
    outcome: str | None = None
    since: datetime | None = None
    until: datetime | None = None

    @classmethod
    def of(cls, params: Mapping[str, Any]) -> "Selection":
        """The selection that parameters of `audit/list` name; `queue` by its name, moments as datetimes."""
        queue = params.get("queue")
        return cls(
            queue=Queue[queue.upper()] if queue is not None else None,
            **{name: params.get(name) for name in ("action", "user", "resource", "outcome", "since", "until")},
        )

    def told(self) -> dict[str, str]:
        """What was asked for, as the entry of whoever asked tells it."""
        return {
            name: value.isoformat() if isinstance(value, datetime) else str(value)
            for name, value in (asdict(self) | {"queue": self.queue and self.queue.name.lower()}).items()
            if value is not None
        }

    def apply(self, rows: Trail) -> Trail:
        wanted: dict[str, Any] = {
            "queue": self.queue,
            "action": self.action,
            "user": self.user,
            "outcome": self.outcome,
            "timestamp__gte": self.since,
            "timestamp__lt": self.until,
        }
        rows = rows.filter(**{name: value for name, value in wanted.items() if value is not None})
        if self.resource is None:
            return rows
        if self.resource.endswith("/*"):
            return below(rows, self.resource.removesuffix("*"))
        return rows.filter(resource_id=self.resource)


def below(rows: Trail, prefix: str) -> Trail:
    """The entries of resources whose URI begins with a prefix that ends in "/".

    URIs sort by their bytes in both databases, so these are one range. PostgreSQL knows how many are in it, and whether
    to sort them by time or to walk the entries by time until a page is full; SQLite would always sort, so it is asked.
    """
    # "0" is what comes after "/"
    wanted = {"gte": prefix, "lt": prefix[:-1] + "0"}
    by_uri = {f"resource_id__{lookup}": bound for lookup, bound in wanted.items()}
    if connections[rows.db].vendor == "postgresql":
        return rows.filter(**by_uri)
    found = AuditEntry.objects.filter(**by_uri).order_by()
    if found.values("resource_id")[: FEW + 1].count() <= FEW:
        return rows.filter(sequence__in=found.values("sequence"))
    # no index has this, so none but that of the order can be used
    rows = rows.alias(any_uri=Coalesce("resource_id", Value("")))
    return rows.filter(**{f"any_uri__{lookup}": bound for lookup, bound in wanted.items()})


def holding(rows: Trail, term: str) -> Trail:
    """The entries that have a term as their id, user, resource, action, request or session, whole.

    It is looked up which of these it is, since no index helps with "one of these" in the order of time.
    """
    if term.endswith("/*"):
        return below(rows, term.removesuffix("*"))
    names = [name for name in INDEXED if AuditEntry.objects.filter(**{name: term}).order_by().exists()]
    # sessions are not indexed by themselves, so this last one is a search of a part of a second
    return rows.filter(Q(*((name, term) for name in names or ["session_id"]), _connector=Q.OR))


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


def list_entries(
    selection: Selection, after: Place | None, limit: int, order: Order = Order.NEWEST
) -> list[AuditEntry]:
    """Entries behind a place, in the order of their time, and of their numbers where that is the same.

    A walk from page to page meets every entry once that was in the trail when it began, whatever arrives meanwhile.
    """
    return page_of(selection.apply(AuditEntry.objects.all()), after, limit, order)


def page_of(rows: Trail, after: Place | None, limit: int, order: Order) -> list[AuditEntry]:
    """The same, of chosen entries."""
    if order is Order.NEWEST:
        names, past, beyond = ("-timestamp", "-sequence"), "timestamp__lte", "sequence__gte"
    else:
        names, past, beyond = ("timestamp", "sequence"), "timestamp__gte", "sequence__lte"
    rows = rows.order_by(*names)
    if after is not None:
        # not an OR of two ranges: this form keeps the database on one range of its index
        rows = rows.filter(**{past: after.timestamp})
        rows = rows.exclude(Q(**{"timestamp": after.timestamp, beyond: after.sequence}))
    return list(rows[:limit])


def next_page(rows: Trail, after: Place | None) -> list[AuditEntry]:
    """Some of the chosen entries behind a place, the oldest first; none at the end."""
    return page_of(rows, after, STEP, Order.OLDEST)


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
