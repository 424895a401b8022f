"""The ASGI application at `/mcp`: who may come in, and which era a request is of (design page mcp.md, R1 and R8)."""

import logging
from collections.abc import Mapping
from typing import Final

from django.conf import settings

from audit_app.errors import InternalError, Refusal
from erlmcp_site.node import node
from erlmcp_site.pipeline.errors import MethodNotAllowed, NotAcceptable, UnsupportedMediaType
from erlmcp_site.pipeline.messages import UNKNOWN
from erlmcp_site.transports.addresses import source_address
from erlmcp_site.transports.http.answers import Application, Receive, Send, problem_answer
from erlmcp_site.transports.http.bodies import media_type, read_body
from erlmcp_site.transports.http.cors import preflight
from erlmcp_site.transports.http.incoming import Incoming, Scope
from erlmcp_site.transports.http.lean import is_allowed_host, telling
from erlmcp_site.transports.http.unread import refuse
from erlmcp_site.transports.mcp import handlers, modern
from erlmcp_site.transports.mcp.answers import turned
from erlmcp_site.transports.mcp.authorization import resource_url
from erlmcp_site.transports.mcp.eras import VERSION_HEADER, is_legacy
from erlmcp_site.transports.mcp.legacy import door
from erlmcp_site.transports.origins import is_allowed, is_ours
from sessions_app.authentication import authenticate
from sessions_app.callers import Caller
from sessions_app.errors import Forbidden, Unauthenticated

log = logging.getLogger(__name__)

STATUS: Final[Mapping[type[Refusal], int]] = {NotAcceptable: 406, UnsupportedMediaType: 400}
"""Statuses that the SDK's servers answer with, where other transports have another."""

SENT: Final = "application/json"
STREAMED: Final = "text/event-stream"


async def mcp_application(scope: Scope, receive: Receive, send: Send) -> None:
    """Answer one request."""
    incoming = Incoming(scope)
    incoming.audience = resource_url(incoming)
    try:
        await node.ensure_started()
        application = await _answer(incoming, receive)
    except Refusal as refusal:
        refused = await refuse(incoming, refusal, UNKNOWN, "mcp")
        application = _refused(refused, incoming)
    except Exception:
        log.exception("request %s (%s %s) failed", incoming.id, incoming.method, incoming.path)
        application = problem_answer(InternalError(), incoming)
    await application(scope, receive, telling(incoming, send))


async def _answer(incoming: Incoming, receive: Receive) -> Application:
    _check_place(incoming)
    asked = preflight(incoming)
    if asked is not None:
        return asked
    caller = await _identify(incoming)
    legacy = is_legacy(incoming.headers.get(VERSION_HEADER))
    if incoming.method == "POST":
        check_form(incoming)
        incoming.body = await read_body(incoming, receive, 2 * settings.RESOURCE_MAX_BYTES)
    elif not legacy:
        raise MethodNotAllowed()
    return await (door.answer(incoming, caller) if legacy else modern.answer(incoming))


def _check_place(incoming: Incoming) -> None:
    """Raises Forbidden for a page of somebody else's, and for a name that is none of ours (DNS rebinding)."""
    host = incoming.headers.get("host", "")
    if not is_allowed_host(host):
        raise Forbidden("The Host header names no host of this service.")
    origin = incoming.headers.get("origin")
    scheme = str(incoming.scope.get("scheme", "http"))
    if origin is not None and not is_ours(origin, scheme, host) and not is_allowed(origin):
        raise Forbidden("Pages of this origin may not use this service.")


def check_form(incoming: Incoming) -> None:
    """Raises UnsupportedMediaType for what is no JSON, NotAcceptable for a client that does not take both answers."""
    if media_type(incoming) != SENT:
        raise UnsupportedMediaType("The body has to be application/json.", accepted=[SENT])
    accepted = {one.partition(";")[0].strip().lower() for one in incoming.headers.get("accept", "").split(",")}
    if "*/*" not in accepted and not (accepted & {SENT, "application/*"} and accepted & {STREAMED, "text/*"}):
        raise NotAcceptable()


async def _identify(incoming: Incoming) -> Caller:
    """Raises Unauthenticated, before anything is read."""
    return await authenticate(incoming.credentials, source_address(incoming.scope))


def _refused(refusal: Refusal, incoming: Incoming) -> Application:
    if isinstance(refusal, Unauthenticated):
        return turned(refusal, incoming)
    answer = problem_answer(refusal, incoming, status=STATUS.get(type(refusal)))
    if isinstance(refusal, MethodNotAllowed):
        legacy = is_legacy(incoming.headers.get(VERSION_HEADER))
        answer.headers.append((b"allow", b"GET, POST, DELETE" if legacy else b"POST"))
    return answer


handlers.register()
