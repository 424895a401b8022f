"""The stream `changes`: numbering the changes of resources, and keeping them."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from typing import TYPE_CHECKING

import orjson

from audit_app.bulk import Bulk, table_of
from resources_app.log.head import CHANGES, HEADS
from resources_app.models import Event

if TYPE_CHECKING:
    from resources_app.log.events import LoggedEvent

EVENTS = table_of(Event, "offset", "uri", "type", "version", "time", "meta", "kind", "body", "sealed_by")


class ChangeStream:
    """The stream `changes` of the log. The head's row lock orders the commits of all processes (architecture §3)."""

    name = CHANGES

    def append(self, db: Bulk, events: Sequence["LoggedEvent"], at: datetime) -> None:
        head = db.advance(HEADS, CHANGES, len(events))
        rows = []
        for offset, event in enumerate(events, head - len(events) + 1):
            event.offset = offset
            event.after = replace(event.after, offset=offset)
            rows.append(_row(event))
        db.insert(EVENTS, rows)


def _row(event: "LoggedEvent") -> tuple[object, ...]:
    after = event.after
    return (
        *(event.offset, after.uri, event.type, after.version, after.updated_at),
        *(_meta(event), after.kind, event.kept_body, after.sealed_by),
    )


def _meta(event: "LoggedEvent") -> str:
    """What the log keeps of a change besides its own columns."""
    state = event.after
    meta: dict[str, object] = {
        "name": state.name,
        "title": state.title,
        "description": state.description,
        "mime_type": state.mime_type,
        "on_conflict": state.on_conflict,
        "size": state.size,
        "created_at": state.created_at,
    }
    if event.resolution is not None:
        meta["resolution"] = event.resolution
    if event.trace is not None:
        meta["traceparent"] = event.trace.traceparent
        if event.trace.state:
            meta["tracestate"] = event.trace.state
    return orjson.dumps(meta).decode()


CHANGE_STREAM = ChangeStream()
