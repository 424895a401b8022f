"""Reading the log after a cursor."""

from collections.abc import Iterable
from datetime import datetime

import orjson
from django.db.models import QuerySet, Value
from django.db.models.functions import StrIndex, Substr

from resources_app.log.events import LoggedEvent
from resources_app.log.prefixes import REST
from resources_app.models import Event
from resources_app.patterns import Pattern, Reach
from resources_app.state import Kind, OnConflict, ResourceState


def read_changes(
    after: int, limit: int, *, pattern: Pattern | None = None, upto: int | None = None
) -> list[LoggedEvent]:
    """Events with offsets above `after` (and not above `upto`), in order; of one pattern, or of the whole log."""
    rows = Event.objects.filter(offset__gt=after).order_by("offset")
    if upto is not None:
        rows = rows.filter(offset__lte=upto)
    if pattern is not None:
        rows = _of_pattern(rows, pattern)
    return [logged(row) for row in rows[:limit]]


def read_versions(uri: str, before: int | None, limit: int) -> list[LoggedEvent]:
    """The kept versions of a resource below version `before`, the newest first."""
    rows = Event.objects.filter(uri=uri).order_by("-offset")
    if before is not None:
        rows = rows.filter(version__lt=before)
    return [logged(row) for row in rows[:limit]]


def logged(row: Event) -> LoggedEvent:
    """An event as it was committed."""
    meta = orjson.loads(row.meta)
    after = ResourceState(
        uri=row.uri,
        name=meta["name"],
        title=meta["title"],
        description=meta["description"],
        mime_type=meta["mime_type"],
        on_conflict=OnConflict(meta["on_conflict"]),
        kind=Kind(row.kind),
        body=bytes(row.body),
        size=meta["size"],
        version=row.version,
        deleted=row.type == "deleted",
        created_at=datetime.fromisoformat(meta["created_at"]),
        updated_at=row.time,
        offset=row.offset,
    )
    resolution = OnConflict(meta["resolution"]) if "resolution" in meta else None
    return LoggedEvent(type=row.type, after=after, offset=row.offset, resolution=resolution)


def of_prefix(rows: QuerySet[Event], prefix: str, prefixes: Iterable[str]) -> QuerySet[Event]:
    """Those events that belong to one of the retention prefixes, or to the rest."""
    if prefix != REST:
        rows = _of_pattern(rows, Pattern(prefix, Reach.BELOW))
    for longer in prefixes:
        if longer != prefix and longer.startswith(prefix):
            rows = rows.exclude(uri__gt=longer, uri__lt=Pattern(longer, Reach.BELOW).end)
    return rows


def _of_pattern(rows: QuerySet[Event], pattern: Pattern) -> QuerySet[Event]:
    if pattern.is_exact:
        return rows.filter(uri=pattern.prefix)
    rows = rows.filter(uri__gt=pattern.prefix, uri__lt=pattern.end)
    if pattern.reach is Reach.LEVEL:
        rows = rows.alias(deeper=StrIndex(Substr("uri", len(pattern.prefix) + 1), Value("/"))).filter(deeper=0)
    return rows
