"""A resource at one version, and its JSON (contract §3)."""

import base64
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

import orjson


class Kind(StrEnum):
    """How content is held: a JSON value, text, or bytes (in base64)."""

    JSON = "content"
    TEXT = "text"
    BLOB = "blob"


class OnConflict(StrEnum):
    """What becomes of a change that is based on an old version (seed §10.2)."""

    LAST_WRITE_WINS = "last_write_wins"
    MERGE = "merge"
    REJECT = "reject"


@dataclass(frozen=True, slots=True, kw_only=True)
class ResourceState:
    """A resource at one version.

    `body` is JSON, UTF-8 text or base64, by `kind`; `size` counts the content's own bytes. `offset` is that of its last
    change, 0 until the log has numbered it. `sealed_by` is the id of the data key under which the content is kept, ""
    for none; as long as it has not been opened, `body` is an envelope. `is_destroyed`: it can never be opened.
    """

    uri: str
    name: str
    title: str
    description: str
    mime_type: str
    on_conflict: OnConflict
    kind: Kind
    body: bytes
    size: int
    version: int
    deleted: bool
    created_at: datetime
    updated_at: datetime
    offset: int
    sealed_by: str = field(default="", compare=False)
    is_destroyed: bool = field(default=False, compare=False)


def encode(state: ResourceState, *, include_content: bool = True, resolution: OnConflict | None = None) -> bytes:
    """The JSON of a resource. A deleted one has no content, nor one whose content was destroyed, which says so.

    `resolution` is how the conflict of the change that led to the state was settled; it is told with the change only.
    """
    document: dict[str, object] = {
        "uri": state.uri,
        "name": state.name,
        "title": state.title,
        "description": state.description,
        "mime_type": state.mime_type,
        "version": state.version,
        "on_conflict": state.on_conflict.value,
        "size": state.size,
        "created_at": state.created_at,
        "updated_at": state.updated_at,
        "offset": state.offset,
    }
    if resolution is not None:
        document["resolution"] = resolution.value
    if state.is_destroyed:
        document["content_destroyed"] = True
    elif include_content and not state.deleted:
        if state.kind is Kind.JSON:
            document["content"] = orjson.Fragment(state.body)
        else:
            document[state.kind.value] = state.body.decode()
    return orjson.dumps(document, option=orjson.OPT_UTC_Z)


def raw(state: ResourceState) -> bytes:
    """The content itself, as its mime type says."""
    return base64.b64decode(state.body) if state.kind is Kind.BLOB else state.body
