"""Reading the log: after a cursor, or for the versions of one resource."""

from collections.abc import Iterable
from datetime import datetime
from typing import NamedTuple

import orjson
from django.db.models import QuerySet, Value
from django.db.models.functions import Length, StrIndex, Substr

from resources_app.log.events import LoggedEvent
from resources_app.log.prefixes import REST
from resources_app.models import Event
from resources_app.patterns import Pattern, Reach
from resources_app.sealed import as_kept
from resources_app.state import Kind, OnConflict, ResourceState
from telemetry_app.tracing.context import told


def read_changes(
    after: int, limit: int, *, pattern: Pattern | None = None, upto: int | None = None
) -> list[LoggedEvent]:
    """Events with offsets above `after` (and not above `upto`), in order; of one pattern, or of the whole log."""
    return [logged(row) for row in _changes(after, pattern, upto)[:limit]]


class Change(NamedTuple):
    """What happened to which resource."""

    uri: str
    type: str


def types_of_changes(after: int, limit: int) -> list[Change]:
    """The events with offsets above `after`, of the whole log, in order."""
    rows = Event.objects.filter(offset__gt=after).order_by("offset").values_list("uri", "type")
    return [Change(*row) for row in rows[:limit]]


def sizes_of_changes(after: int, limit: int, *, pattern: Pattern, upto: int) -> list[tuple[int, int]]:
    """The offsets of the same events, each with how many bytes the log keeps of its content."""
    return list(_changes(after, pattern, upto).values_list("offset", Length("body"))[:limit])


def logged_versions(uri: str, before: int | None, limit: int) -> list[LoggedEvent]:
    """The kept changes of a resource below the offset `before`, the newest first; without their content."""
    rows = Event.objects.filter(uri=uri).order_by("-offset").defer("body")
    if before is not None:
        rows = rows.filter(offset__lt=before)
    return [logged(row, body=b"") for row in rows[:limit]]


def logged_version(later: ResourceState, version: int) -> LoggedEvent | None:
    """An earlier version of a resource than that of a state; None when it is not kept.

    The versions of a resource are consecutive, so it is found by counting back in the index.
    """
    rows = Event.objects.filter(uri=later.uri, offset__lte=later.offset).order_by("-offset")
    back = later.version - version
    row = Event.objects.filter(offset__in=rows.values("offset")[back : back + 1], version=version).first()
    return logged(row) if row is not None else None


def earliest_version(uri: str) -> int | None:
    """The first kept version of a resource that is no deletion."""
    rows = Event.objects.filter(uri=uri).exclude(type="deleted").order_by("offset")
    return rows.values_list("version", flat=True).first()


def logged(row: Event, body: bytes | None = None) -> LoggedEvent:
    """An event as it was committed, its content maybe locked; `body` stands in for one that was not loaded."""
    kept, sealer = as_kept(bytes(row.body), row.sealed_by, row.uri) if body is None else (body, "")
    meta = orjson.loads(row.meta)
    after = ResourceState(
        uri=row.uri,
        name=meta["name"],
        title=meta["title"],
        description=meta["description"],
        mime_type=meta["mime_type"],
        on_conflict=OnConflict(meta["on_conflict"]),
        kind=Kind(row.kind),
        body=kept,
        size=meta["size"],
        version=row.version,
        deleted=row.type == "deleted",
        created_at=datetime.fromisoformat(meta["created_at"]),
        updated_at=row.time,
        offset=row.offset,
        sealed_by=sealer,
    )
    resolution = OnConflict(meta["resolution"]) if "resolution" in meta else None
    trace = told(meta["traceparent"], meta.get("tracestate", "")) if "traceparent" in meta else None
    return LoggedEvent(type=row.type, after=after, offset=row.offset, resolution=resolution, trace=trace)


def of_prefix(rows: QuerySet[Event], prefix: str, prefixes: Iterable[str]) -> QuerySet[Event]:
    """Those events that belong to one of the retention prefixes, or to the rest."""
    if prefix != REST:
        rows = _of_pattern(rows, Pattern(prefix, Reach.BELOW))
    for longer in prefixes:
        if longer != prefix and longer.startswith(prefix):
            rows = rows.exclude(uri__gt=longer, uri__lt=Pattern(longer, Reach.BELOW).end)
    return rows


def _changes(after: int, pattern: Pattern | None, upto: int | None) -> QuerySet[Event]:
    rows = Event.objects.filter(offset__gt=after).order_by("offset")
    if upto is not None:
        rows = rows.filter(offset__lte=upto)
    return rows if pattern is None else _of_pattern(rows, pattern)


def _of_pattern(rows: QuerySet[Event], pattern: Pattern) -> QuerySet[Event]:
    if pattern.is_exact:
        return rows.filter(uri=pattern.prefix)
    rows = rows.filter(uri__gt=pattern.prefix, uri__lt=pattern.end)
    if pattern.reach is Reach.LEVEL:
        rows = rows.alias(deeper=StrIndex(Substr("uri", len(pattern.prefix) + 1), Value("/"))).filter(deeper=0)
    return rows
