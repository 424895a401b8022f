"""Complete answers to HTTP requests, as small ASGI applications."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, Protocol

import orjson

from audit_app.errors import Refusal
from erlmcp_site.transports.http.incoming import Scope
from erlmcp_site.transports.quotas import quota_fields, wait_fields
from erlmcp_site.transports.wire import ROWS, problem
from resources_app.hub.hub import hub
from sessions_app.buckets import Quota
from sessions_app.errors import RateLimited

Header = tuple[bytes, bytes]
Receive = Callable[[], Awaitable[Mapping[str, Any]]]
Send = Callable[[Mapping[str, Any]], Awaitable[None]]

JSON = b"application/json"
PROBLEM_JSON = b"application/problem+json"

NO_STORE = (b"cache-control", b"no-store")
NO_SNIFF = (b"x-content-type-options", b"nosniff")
LOCKED = (b"content-security-policy", b"default-src 'none'; frame-ancestors 'none'")
"""What is opened in a browser as if it were a page can load, frame and do nothing."""


class Application(Protocol):
    """Whatever can answer: a complete answer, or a stream. `status` is None where that is not known yet."""

    @property
    def status(self) -> int | None: ...

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None: ...


class Answer:
    """A status, headers and a body; `then` is called once they were handed over.

    `media_type` None means that there is no body at all; `policy` is what a browser that shows the body lets it do.
    """

    __slots__ = ("body", "headers", "status", "then")

    def __init__(
        self,
        status: int,
        headers: Sequence[Header] = (),
        body: bytes = b"",
        media_type: bytes | None = JSON,
        then: Callable[[], None] | None = None,
        policy: Header = LOCKED,
    ) -> None:
        self.status = status
        self.headers = [NO_SNIFF, policy, *headers]
        if media_type is not None:
            self.headers += ((b"content-type", media_type), (b"content-length", b"%d" % len(body)))
        self.body = body
        self.then = then

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": self.status, "headers": self.headers})
        await send({"type": "http.response.body", "body": b"" if scope["method"] == "HEAD" else self.body})
        if self.then is not None:
            self.then()


class Asked(Protocol):
    """What was refused: the id of the request, and the token that came with it."""

    @property
    def id(self) -> str: ...

    @property
    def token(self) -> str | None: ...


def problem_answer(
    refusal: Refusal,
    asked: Asked,
    *,
    status: int | None = None,
    headers: Sequence[Header] = (),
    offset: int | None = None,
    quotas: Sequence[Quota] = (),
) -> Answer:
    """The RFC 9457 answer to a refused request.

    `status` overrides that of the code; `offset` is the position in the log, by default that of this process; `quotas`
    are what the limits leave, by default what the refusal says of its own.
    """
    if status is None:
        status = ROWS[refusal.code].http
    if isinstance(refusal, RateLimited):
        quotas = quotas or refusal.quotas
    told = [
        *headers,
        *quota_headers(quotas),
        NO_STORE,
        *position_headers(asked.id, hub.position if offset is None else offset),
    ]
    if status == 401:
        told.append((b"www-authenticate", b'Bearer realm="erlmcp"' + (TOKEN_REFUSED if asked.token else b"")))
    told += _headers(wait_fields(refusal))
    document = problem(refusal, asked.id, status)
    return Answer(status, told, orjson.dumps(document, default=str, option=orjson.OPT_NON_STR_KEYS), PROBLEM_JSON)


TOKEN_REFUSED = b', error="invalid_token"'


def position_headers(request_id: str, offset: int) -> tuple[Header, Header]:
    """The two headers that every answer bears (contract §3, §7)."""
    return (b"request-id", request_id.encode()), (b"log-offset", b"%d" % offset)


def quota_headers(quotas: Sequence[Quota]) -> list[Header]:
    """What the limits leave, on every answer of a method."""
    return _headers(quota_fields(quotas))


def trace_headers(traceparent: str) -> list[Header]:
    """The span of the request, for a caller who traces."""
    return [(b"traceparent", traceparent.encode())] if traceparent else []


def _headers(fields: Sequence[tuple[str, str]]) -> list[Header]:
    return [(name.encode(), value.encode()) for name, value in fields]


async def disconnection(receive: Receive) -> None:
    """Return when the client has gone, or the answer is complete."""
    while (await receive())["type"] != "http.disconnect":
        pass
