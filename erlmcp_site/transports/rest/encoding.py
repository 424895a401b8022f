"""Replies as HTTP answers."""

import re
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import quote

import orjson

from erlmcp_site.pipeline.messages import RawContent, Reply
from erlmcp_site.transports.http.answers import (
    NO_STORE,
    Answer,
    Header,
    position_headers,
    problem_answer,
    quota_headers,
    trace_headers,
)
from erlmcp_site.transports.http.incoming import Incoming
from erlmcp_site.transports.rest.preconditions import etag, has_version
from resources_app.uris import normalise

Encoder = Callable[[Incoming, Reply], Answer]

REVALIDATE = (b"cache-control", b"private, no-cache")
SANDBOX = (
    b"content-security-policy",
    b"default-src 'none'; style-src 'unsafe-inline'; img-src data:; frame-ancestors 'none'; sandbox",
)

_MEDIA_TYPE = re.compile(r"[\w!#$&^.+-]+/[\w!#$&^.+-]+( *; *[\w!#$&^.+-]+=([\w!#$&^.+-]+|\"[^\"\\\r\n]*\"))*", re.ASCII)


def standard_headers(incoming: Incoming, reply: Reply, cache: Header = NO_STORE) -> list[Header]:
    """What every answer of a method bears (contract §3, §6, §7)."""
    headers = [cache, *position_headers(reply.request_id, reply.offset)]
    if reply.session_id is not None:
        headers.append((b"session-id", reply.session_id.encode()))
    if reply.version is not None:
        headers.append((b"etag", etag(reply.version).encode()))
    if reply.replayed:
        headers.append((b"idempotent-replayed", b"true"))
    headers += quota_headers(reply.quotas)
    headers += trace_headers(reply.traceparent)
    return headers


def refused(incoming: Incoming, reply: Reply, status: int | None) -> Answer:
    """The problem that a refused reply comes to; `status` overrides that of the code."""
    if reply.refusal is None:
        raise ValueError("the reply is no refusal")
    headers = trace_headers(reply.traceparent)
    if reply.session_id is not None:
        headers.append((b"session-id", reply.session_id.encode()))
    return problem_answer(
        reply.refusal, incoming, status=status, headers=headers, offset=reply.offset, quotas=reply.quotas
    )


def result(incoming: Incoming, reply: Reply) -> Answer:
    """The result as it is."""
    return Answer(200, standard_headers(incoming, reply), _json(reply.result), then=reply.then)


def no_content(incoming: Incoming, reply: Reply) -> Answer:
    """Done; there is nothing to tell."""
    return Answer(204, standard_headers(incoming, reply), media_type=None)


def created_below(collection: str) -> Encoder:
    """Something new with an id, at its address below the collection."""

    def encode(incoming: Incoming, reply: Reply) -> Answer:
        headers = standard_headers(incoming, reply)
        headers.append((b"location", f"{collection}/{quote(str(reply.result['id']), safe='')}".encode()))
        return Answer(201, headers, _json(reply.result))

    return encode


def resource(incoming: Incoming, reply: Reply) -> Answer:
    """A resource that was read, or 304 for a client that has this version already."""
    headers = standard_headers(incoming, reply, REVALIDATE)
    if reply.version is not None and has_version(incoming, reply.version):
        return Answer(304, headers, media_type=None)
    return Answer(200, headers, _json(reply.result))


def content(incoming: Incoming, reply: Reply) -> Answer:
    """The content of a resource itself, under its mime type and unable to do anything on our origin."""
    raw: RawContent = reply.result
    headers = standard_headers(incoming, reply, REVALIDATE)
    if reply.version is not None and has_version(incoming, reply.version):
        return Answer(304, headers, media_type=None, policy=SANDBOX)
    return Answer(200, headers, raw.data, _content_type(raw.mime_type), policy=SANDBOX)


def change(params: Mapping[str, Any]) -> Encoder:
    """A resource after a change: 201 and its address when the change created it."""

    def encode(incoming: Incoming, reply: Reply) -> Answer:
        headers = standard_headers(incoming, reply)
        if reply.created:
            headers.append((b"location", resource_address(params["uri"]).encode()))
        return Answer(201 if reply.created else 200, headers, _json(reply.result))

    return encode


def resource_address(uri: str) -> str:
    """The address of a resource in this API. Raises InvalidUri."""
    scheme, _, rest = normalise(uri).partition("://")
    if rest.isalpha():
        # an authority without a path, such as test://batch, must not read like a route of the API
        rest = f"%{ord(rest[0]):02X}{rest[1:]}"
    return f"/api/v1/resources/{rest}" + ("" if scheme == "resource" else f"?scheme={quote(scheme, safe='')}")


def _content_type(mime_type: str) -> bytes:
    if not _MEDIA_TYPE.fullmatch(mime_type):
        return b"application/octet-stream"
    if mime_type.startswith("text/") and "charset" not in mime_type:
        mime_type += "; charset=utf-8"
    return mime_type.encode()


def _json(result: Any) -> bytes:
    return orjson.dumps(result, option=orjson.OPT_UTC_Z)
