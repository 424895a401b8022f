"""What goes into the pipeline and what comes out of it, the same for every transport (seed §3.1)."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

import orjson

from audit_app.errors import Refusal
from resources_app.hub.followers import Outlet
from sessions_app.buckets import Quota

Transport = Literal["rest", "websocket", "sse", "grpc", "mcp", "admin", "system"]


class User(Protocol):
    """What the pipeline needs to know of a Django user that the admin has authenticated."""

    pk: Any


@dataclass(frozen=True, slots=True, kw_only=True)
class Credentials:
    """What a caller shows: a bearer token, or (Django admin only) a user whom Django has already authenticated.

    `audience` is whom a token of an outside issuer has to be for; None: whom TRUSTED_ISSUERS names.
    """

    token: str | None = None
    user: User | None = None
    audience: str | None = None


UNKNOWN = "unknown"
"""In place of a method's name where a transport cannot tell which method is meant."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Unread:
    """Why a transport could not read a request, and the address that it was sent to where a transport has several."""

    refusal: Refusal
    address: str = ""


class HttpExchange(Protocol):
    """The exchange of HTTP that a request came in: `route` is the pattern of its address.

    What is `kept` of the request's trace lies there until the transport knows the status of its answer, and hands it
    on.
    """

    route: str
    kept: tuple[Any, ...]


# not frozen, though nobody changes one: that would set each field by a call, 1.4 µs a request
@dataclass(slots=True, kw_only=True)
class Request:
    """One call of one method, as a transport decoded it.

    `timestamp` is Unix time in seconds; `metadata` holds lower-case header names; `outlet` is where events for this
    caller can be sent, for transports that push. One that is `unread` walks the pipeline to be refused, so that it
    counts against the limits and leaves an entry like any other; its `method` may be UNKNOWN. `verb` and
    `http` are of HTTP. `client` is what a client of MCP calls itself, and `labels` are what its transport tells of
    it in a span.
    """

    id: str
    method: str
    params: Mapping[str, Any]
    transport: Transport
    timestamp: float
    credentials: Credentials | None = None
    client_id: str = ""
    session_id: str | None = None
    metadata: Mapping[str, str] = field(default_factory=dict)
    source_ip: str = ""
    user_agent: str = ""
    outlet: Outlet | None = None
    unread: Unread | None = None
    verb: str = ""
    client: str = ""
    labels: Mapping[str, str] = field(default_factory=dict)
    http: HttpExchange | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class RawContent:
    """The result of a read that asked for the content itself: its bytes, under its mime type."""

    mime_type: str
    data: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Effect:
    """What a change came to, as its caller is told of it: the parts of a Reply that an idempotency key keeps."""

    result: Any
    offset: int | None = None
    version: int | None = None
    created: bool = False

    def dumped(self) -> bytes:
        """As it is kept."""
        return orjson.dumps([self.result, self.offset, self.version, self.created], option=orjson.OPT_UTC_Z)

    @classmethod
    def loaded(cls, kept: bytes) -> "Effect":
        """What was kept."""
        result, offset, version, created = orjson.loads(kept)
        return cls(result=result, offset=offset, version=version, created=created)


# not frozen, though nobody changes one: that would set each field by a call, 1.4 µs a request
@dataclass(slots=True, kw_only=True)
class Reply:
    """The answer to a request.

    `result` is JSON-able (orjson; parts may be `orjson.Fragment`), None when refused. `offset` is the position in the
    log that the answer reflects. `version` is set when the result is one resource. `created` tells 201 from 200.
    `replayed`: this was answered before, under the same idempotency key. `quotas` is what the caller's limits leave,
    of a request that they refused too. `then` is called by the transport once the answer is on its way (a follower
    starts there). `forms` is where a transport may keep what it makes of the result, by its own name for it: an answer
    with the same result finds it there. `traceparent` names the request's span to a caller who named one; it is empty
    for others.
    """

    request_id: str
    method: str
    outcome: Literal["success", "refused", "error"]
    result: Any = None
    refusal: Refusal | None = None
    offset: int = 0
    session_id: str | None = None
    version: int | None = None
    created: bool = False
    replayed: bool = False
    quotas: tuple[Quota, ...] = ()
    then: Callable[[], None] | None = None
    forms: dict[str, bytes] | None = None
    traceparent: str = ""


def done(outcome: object) -> Effect:
    """The effect of a change that leaves nothing to tell of, whatever its command came to."""
    return Effect(result={})
