"""Which pages of other origins may use the API from a browser: those of ALLOWED_ORIGINS (the Fetch standard's CORS).

The API takes no cookies, so no page is ever allowed credentials: a page has to have a token of its own.
"""

import re

from django.conf import settings

from erlmcp_site.transports.http.answers import NO_STORE, Answer, Header, position_headers
from erlmcp_site.transports.http.incoming import Incoming
from erlmcp_site.transports.origins import is_allowed
from resources_app.hub.hub import hub

SHARED = ("/api/", "/.well-known/", "/mcp")
"""What pages may ask; metrics and health are for operators."""

TAKEN = (
    "authorization, client-id, content-type, idempotency-key, if-match, if-none-match, last-event-id, mcp-method, "
    "mcp-name, mcp-protocol-version, mcp-session-id, read-after, read-consistency, request-id, request-timeout, "
    "session-id, traceparent, tracestate"
)
TOLD = (
    "allow, etag, idempotent-replayed, location, log-offset, mcp-session-id, ratelimit, ratelimit-policy, request-id, "
    "retry-after, session-id, traceparent, www-authenticate"
)
MAX_ASKED = 100
OF_ARGUMENT = re.compile(r"mcp-param-[a-z0-9_.-]{1,64}")

VARY: Header = (b"vary", b"origin")
PREFLIGHT: tuple[Header, ...] = (
    (b"access-control-allow-methods", b"GET, HEAD, POST, PUT, PATCH, DELETE"),
    (b"access-control-max-age", b"600"),
)
EXPOSED: Header = (b"access-control-expose-headers", TOLD.encode())


def sharing_headers(incoming: Incoming) -> list[Header]:
    """What an answer tells a browser of who may read it."""
    if not settings.ALLOWED_ORIGINS or not incoming.path.startswith(SHARED):
        return []
    origin = incoming.headers.get("origin")
    if origin is None or not is_allowed(origin):
        return [VARY]
    return [VARY, EXPOSED, (b"access-control-allow-origin", origin.encode("latin-1"))]


def preflight(incoming: Incoming) -> Answer | None:
    """The answer to a browser that asks for a page whether it may send a request; None for any other request."""
    if incoming.method != "OPTIONS" or "access-control-request-method" not in incoming.headers:
        return None
    allowed: list[Header] = []
    if is_allowed(incoming.headers.get("origin", "")):
        allowed = [*PREFLIGHT, (b"access-control-allow-headers", _taken(incoming).encode())]
    return Answer(204, [*allowed, NO_STORE, *position_headers(incoming.id, hub.position)], media_type=None)


def _taken(incoming: Incoming) -> str:
    """The headers that a page may send: ours, and those of MCP that bear an argument, which are named by tools."""
    asked = incoming.headers.get("access-control-request-headers", "").lower().split(",")[:MAX_ASKED]
    arguments = {name.strip() for name in asked if OF_ARGUMENT.fullmatch(name.strip())}
    return ", ".join([TAKEN, *sorted(arguments)])
