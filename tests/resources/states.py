"""States and events of resources as tests need them."""

from datetime import UTC, datetime
from typing import Any

import orjson

from resources_app.changes import Content, Write
from resources_app.log.events import LoggedEvent
from resources_app.state import Kind, OnConflict, ResourceState

URI = "resource://example.com/a"
AT = datetime(2026, 11, 1, 12, 0, tzinfo=UTC)


def json_content(value: Any) -> Content:
    body = orjson.dumps(value)
    return Content(kind=Kind.JSON, body=body, size=len(body))


def write_of(value: Any, uri: str = URI, **fields: Any) -> Write:
    return Write(uri=uri, content=json_content(value), **fields)


def state_at(version: int, value: Any = None, *, uri: str = URI, **fields: Any) -> ResourceState:
    """A resource at a version, last changed at the offset with the same number."""
    content = json_content(value)
    known: dict[str, Any] = {
        "uri": uri,
        "name": "a",
        "title": "",
        "description": "",
        "mime_type": "application/json",
        "on_conflict": OnConflict.LAST_WRITE_WINS,
        "kind": Kind.JSON,
        "body": content.body,
        "size": content.size,
        "version": version,
        "deleted": False,
        "created_at": AT,
        "updated_at": AT,
        "offset": version,
    }
    return ResourceState(**known | fields)


def event_of(uri: str = URI, offset: int = 1, type: str = "updated", value: Any = None) -> LoggedEvent:
    return LoggedEvent(type=type, after=state_at(offset, value, uri=uri), offset=offset)
