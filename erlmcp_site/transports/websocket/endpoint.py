"""The ASGI application at /ws/v1. No consumer and no layer: one task a socket, straight to the pipeline."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, NamedTuple

from audit_app.errors import Refusal, Unavailable
from erlmcp_site.node import node
from erlmcp_site.pipeline.errors import MethodNotFound
from erlmcp_site.pipeline.messages import UNKNOWN, Reply, Unread
from erlmcp_site.transports.admission import admission
from erlmcp_site.transports.http.answers import problem_answer
from erlmcp_site.transports.websocket import handshake
from erlmcp_site.transports.websocket.calls import Calls, Receive
from erlmcp_site.transports.websocket.connection import AUTHENTICATE, Connection, code_of
from erlmcp_site.transports.websocket.handshake import Handshake, Scope
from erlmcp_site.transports.websocket.registry import connections
from erlmcp_site.transports.websocket.wires import wire_of
from sessions_app.connected import connected

PATH = "/ws/v1"
AUTHENTICATION_SECONDS = 5.0

Send = Callable[[Mapping[str, Any]], Awaitable[None]]


class Asked(NamedTuple):
    """The handshake as it is refused."""

    id: str
    token: str | None


async def websocket_application(scope: Scope, receive: Receive, send: Send) -> None:
    """Serve one socket from its handshake to its end."""
    message = await receive()
    if message["type"] != "websocket.connect":
        return
    try:
        await node.ensure_started()
        opening = _admitted(scope)
        connection = Connection(wire_of(scope, send), opening.client)
    except Refusal as refusal:
        await _refuse(scope, send, refusal)
        return
    try:
        await _serve(connection, scope, receive, send, opening)
    except asyncio.CancelledError:
        if not connection.is_closing:
            raise
    finally:
        connection.ended()


def _admitted(scope: Scope) -> Handshake:
    if scope["path"].removeprefix(scope.get("root_path") or "") != PATH:
        raise MethodNotFound(f"Sockets are served at {PATH}.")
    _unless_draining()
    return handshake.read(scope)


def _unless_draining() -> None:
    if node.draining.is_set():
        raise Unavailable("This server is restarting.", retry_after=admission.retry_ms(connected.total) / 1000)


async def _serve(connection: Connection, scope: Scope, receive: Receive, send: Send, opening: Handshake) -> None:
    try:
        async with admission.turn():
            _unless_draining()
            reply = None if opening.token is None else await connection.authenticate(opening.token)
    except Refusal as refusal:
        await _refuse(scope, send, refusal)
        return
    if reply is not None and reply.refusal is not None:
        await _deny(scope, send, reply.refusal, reply)
        return
    await send({"type": "websocket.accept", "subprotocol": opening.subprotocol, "headers": []})
    connection.opened(AUTHENTICATION_SECONDS)
    await Calls(connection, receive).run()


async def _refuse(scope: Scope, send: Send, refusal: Refusal) -> None:
    """Refuse a handshake that nobody has looked at further."""
    connection = Connection(wire_of(scope, send), handshake.client_of(scope))
    method = UNKNOWN if isinstance(refusal, MethodNotFound) else AUTHENTICATE
    unread = Unread(refusal=refusal, address=f"GET {scope['path']}")
    reply = await connection.refuse(unread, method, handshake.token_of(scope))
    await _deny(scope, send, reply.refusal or refusal, reply)


async def _deny(scope: Scope, send: Send, refusal: Refusal, reply: Reply) -> None:
    """Answer the handshake with an HTTP status, or where the server cannot do that, with a bare close."""
    if "websocket.http.response" not in (scope.get("extensions") or {}):
        await send({"type": "websocket.close", "code": int(code_of(refusal)), "reason": refusal.message})
        return
    asked = Asked(reply.request_id, handshake.token_of(scope))
    answer = problem_answer(refusal, asked, quotas=reply.quotas)
    await send({"type": "websocket.http.response.start", "status": answer.status, "headers": answer.headers})
    await send({"type": "websocket.http.response.body", "body": answer.body})


node.on_drain(connections.drain)
