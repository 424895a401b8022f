"""Request bodies: read with a bound, and parsed with a bound on depth."""

import re
from typing import Any

from audit_app.errors import TooLarge
from erlmcp_site.pipeline.errors import InvalidRequest, UnsupportedMediaType
from erlmcp_site.transports.documents import parse
from erlmcp_site.transports.http.answers import Receive
from erlmcp_site.transports.http.incoming import Incoming

ENVELOPE_DEPTH = 4
"""Levels that a representation or a batch adds around the content of a resource."""

DISCARDED_BYTES = 32 * 1024 * 1024
"""How much of a body that is too large is read and thrown away, so that its sender gets to see the answer."""

_UTF_8 = re.compile(r"charset\s*=\s*\"?utf-?8\"?", re.IGNORECASE)


async def read_body(incoming: Incoming, receive: Receive, limit: int) -> bytes:
    """The whole body.

    Raises TooLarge beyond `limit` bytes, InvalidRequest when the client goes away before the end.
    """
    declared = incoming.headers.get("content-length", "")
    is_large = declared.isdigit() and int(declared) > limit
    if is_large and int(declared) > DISCARDED_BYTES:
        raise TooLarge(limit=limit)
    chunks: list[bytes] = []
    size = 0
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise InvalidRequest("The body ended before its end.")
        chunk = message.get("body", b"")
        size += len(chunk)
        if is_large or size > limit:
            is_large = True
            chunks.clear()
            if size > DISCARDED_BYTES:
                raise TooLarge(limit=limit)
        else:
            chunks.append(chunk)
        if not message.get("more_body", False):
            break
    if is_large:
        raise TooLarge(limit=limit)
    return chunks[0] if len(chunks) == 1 else b"".join(chunks)


def media_type(incoming: Incoming) -> str:
    """The media type of the body in lower case, without parameters; empty when there is none.

    Raises UnsupportedMediaType for an encoding or a charset that is not understood.
    """
    if incoming.headers.get("content-encoding", "identity").lower() != "identity":
        raise UnsupportedMediaType("A body with a content encoding is not understood.")
    essence, _, parameters = incoming.headers.get("content-type", "").partition(";")
    if "charset" in parameters.lower() and not _UTF_8.search(parameters):
        raise UnsupportedMediaType("JSON is read as UTF-8 only.")
    return essence.strip().lower()


def json_of(body: bytes) -> Any:
    """The JSON value of a body.

    Raises ParseError, InvalidParams for numbers that nobody could keep, and TooDeep for nesting that no content within
    the limits can need.
    """
    return parse(body, ENVELOPE_DEPTH)


def document_of(incoming: Incoming, *, optional: bool = False) -> dict[str, Any]:
    """The JSON object that a body of application/json holds; `optional` lets an absent body stand for an empty one.

    Raises UnsupportedMediaType, what `json_of` raises, and InvalidRequest for another JSON value.
    """
    if optional and not incoming.body:
        return {}
    if media_type(incoming) not in {"", "application/json"}:
        raise UnsupportedMediaType("The body has to be application/json.", accepted=["application/json"])
    value = json_of(incoming.body)
    if not isinstance(value, dict):
        raise InvalidRequest("The body has to be a JSON object.")
    return value
