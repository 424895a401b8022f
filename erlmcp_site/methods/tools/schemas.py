"""The JSON Schemas that the tools on resources share (2020-12)."""

from collections.abc import Mapping
from typing import Any

Schema = Mapping[str, Any]

URI: Schema = {"type": "string", "description": "The resource's URI, such as resource://example.com/users/123."}
VERSION: Schema = {"type": "integer", "minimum": 1, "description": "Grows by one with each change of the resource."}
TEXT: Schema = {"type": "string"}
INTEGER: Schema = {"type": "integer"}
CURSOR: Schema = {"type": "string", "description": "next_cursor of the page before."}
LIMIT: Schema = {"type": "integer", "minimum": 1, "maximum": 1000, "description": "At most so many; 100 by default."}

CONTENT: Mapping[str, Schema] = {
    "content": {"description": "Any JSON value; give one of content, text and blob."},
    "text": {"type": "string", "description": "Text, for what is not JSON."},
    "blob": {"type": "string", "contentEncoding": "base64", "description": "Bytes, in base64."},
    "mime_type": {"type": "string", "description": "By default that of the kind of content."},
}
DESCRIBED: Mapping[str, Schema] = {
    "name": {"type": "string", "maxLength": 255, "description": "A short name for lists."},
    "title": {"type": "string", "maxLength": 255, "description": "A title for people."},
    "description": {"type": "string", "maxLength": 4096, "description": "What this is about."},
}
BASED: Mapping[str, Schema] = {
    "base_version": {
        "type": "integer",
        "minimum": 0,
        "description": "The version that you have read and that this change is based on.",
    },
    "on_conflict": {
        "enum": ["last_write_wins", "merge", "reject"],
        "description": "What to do if it has changed since base_version; by default the resource's own rule.",
    },
}
ONCE: Mapping[str, Schema] = {
    "idempotency_key": {
        "type": "string",
        "minLength": 1,
        "maxLength": 255,
        "description": "Repeats under the same key within a day change nothing more, and are answered as the first.",
    }
}

ENTRY: Mapping[str, Schema] = {
    "uri": URI,
    "name": TEXT,
    "title": TEXT,
    "description": TEXT,
    "mime_type": TEXT,
    "version": VERSION,
    "on_conflict": TEXT,
    "size": {"type": "integer", "description": "Of the content, in bytes."},
    "created_at": TEXT,
    "updated_at": TEXT,
    "offset": {"type": "integer", "description": "The position of the last change in the log of all changes."},
}


def taken(required: tuple[str, ...], *properties: Mapping[str, Schema]) -> Schema:
    """The schema of arguments: an object with these properties and no others."""
    return {
        "type": "object",
        "properties": {name: schema for part in properties for name, schema in part.items()},
        "required": list(required),
        "additionalProperties": False,
    }


def given(required: tuple[str, ...], properties: Mapping[str, Schema]) -> Schema:
    """The schema of what a tool gives: an object with at least these properties."""
    return {"type": "object", "properties": properties, "required": list(required)}


def page_of(name: str, entries: Schema) -> Schema:
    """The schema of one page of a list."""
    return given(
        (name, "next_cursor"), {name: {"type": "array", "items": entries}, "next_cursor": {"type": ["string", "null"]}}
    )
