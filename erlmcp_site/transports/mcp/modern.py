"""The era of requests that each stand for themselves: 2026-07-28 (design page mcp.md, R2 and R3)."""

import asyncio
from collections.abc import Mapping
from typing import Any

from mcp.shared.inbound import (
    MCP_PARAM_HEADER_PREFIX,
    InboundLadderRejection,
    classify_inbound_request,
    find_duplicated_routing_header,
    validate_mcp_param_headers,
    x_mcp_header_map,
)
from mcp.shared.inbound import unsupported_protocol_version_rejection as unsupported
from mcp_types import CLIENT_INFO_META_KEY, HEADER_MISMATCH, INVALID_REQUEST, ErrorData, RequestId

from erlmcp_site.methods.tools.registry import TOOLS
from erlmcp_site.pipeline.errors import InvalidRequest
from erlmcp_site.transports.http.answers import Answer, Application, Receive, Send, disconnection
from erlmcp_site.transports.http.incoming import Incoming, Scope
from erlmcp_site.transports.http.streamed import PING, PING_SECONDS
from erlmcp_site.transports.mcp import kernel
from erlmcp_site.transports.mcp.answers import (
    SSE_HEADERS,
    accepted,
    error_answer,
    error_message,
    frame,
    message_answer,
    notification_message,
    result_message,
    turned,
)
from erlmcp_site.transports.mcp.eras import VERSION_HEADER
from erlmcp_site.transports.mcp.errors import cannot_ask
from erlmcp_site.transports.mcp.exchange import Exchange, Turned, client_name
from erlmcp_site.transports.mcp.listen import LISTEN, listen
from erlmcp_site.transports.mcp.outcomes import Rejected, parsed, reject, told_of
from erlmcp_site.transports.mcp.reads import envelopes, is_plain, result_of
from erlmcp_site.transports.mcp.reads import read as read_plain

MIRROR = MCP_PARAM_HEADER_PREFIX.lower()


NO_MESSAGE = ErrorData(code=INVALID_REQUEST, message="Body must be a single JSON-RPC request or notification object")


def read(incoming: Incoming) -> Exchange | None:
    """The exchange that a body asks for; None for a notification. Raises Rejected."""
    body = parsed(incoming)
    version = incoming.headers.get(VERSION_HEADER, "")
    if isinstance(body, dict) and "id" not in body:
        _check_notification(body, version)
        return None
    id = _id_of(body)
    params = body.get("params") or {}
    meta = params.get("_meta")
    client = client_name(meta.get(CLIENT_INFO_META_KEY)) if isinstance(meta, dict) else ""
    lines = _header_lines(incoming)
    duplicated = find_duplicated_routing_header(lines)
    if duplicated is not None:
        raise _rejected(HEADER_MISMATCH, f"{duplicated} header appears more than once", None, id, client)
    route = classify_inbound_request(body, headers=incoming.headers)
    if isinstance(route, InboundLadderRejection):
        raise _rejected(route.code, route.message, route.data, id, client)
    if body["method"] == "tools/call" and (fault := _fault_of_mirrors(params, lines)) is not None:
        raise _rejected(HEADER_MISMATCH, fault, None, id, client)
    return Exchange(
        incoming=incoming,
        id=id,
        version=route.protocol_version,
        method=body["method"],
        params=params,
        client=client,
        client_info=route.client_info,
        capabilities=route.client_capabilities,
        meta=params["_meta"],
    )


def _id_of(body: Any) -> RequestId:
    if not isinstance(body, dict) or body.get("jsonrpc") != "2.0" or not isinstance(body.get("method"), str):
        raise Rejected(InvalidRequest(), NO_MESSAGE)
    id, params = body["id"], body.get("params")
    if not isinstance(id, str | int) or isinstance(id, bool) or not isinstance(params, dict | None):
        raise Rejected(InvalidRequest(), NO_MESSAGE)
    return id


def _check_notification(body: dict[str, Any], version: str) -> None:
    if body.get("jsonrpc") != "2.0" or not isinstance(body.get("method"), str):
        raise Rejected(InvalidRequest(), NO_MESSAGE)
    if (rejection := unsupported(version)) is not None:
        raise _rejected(rejection.code, rejection.message, rejection.data, None)


def _fault_of_mirrors(params: Mapping[str, Any], lines: list[tuple[str, str]]) -> str | None:
    """What is wrong with the headers that say arguments of a tool, for those who do not read the body."""
    name, arguments = params.get("name"), params.get("arguments", {})
    tool = TOOLS.get(name) if isinstance(name, str) else None
    if tool is None or not x_mcp_header_map(tool.input) or not isinstance(arguments, dict):
        return None
    mirrors = [(name, value) for name, value in lines if name.startswith(MIRROR)]
    if len(dict(mirrors)) < len(mirrors):
        return "A header that says an argument appears more than once"
    rejection = validate_mcp_param_headers(tool.input, arguments, dict(mirrors))
    return None if rejection is None else rejection.message


def _rejected(code: int, message: str, data: Any, id: RequestId | None, client: str = "") -> Rejected:
    return Rejected(InvalidRequest(message), ErrorData(code=code, message=message, data=data), id, client=client)


def _header_lines(incoming: Incoming) -> list[tuple[str, str]]:
    return [(name.decode("latin-1"), value.decode("latin-1")) for name, value in incoming.scope["headers"]]


async def answer(incoming: Incoming) -> Application:
    """The answer to a POST of the modern era, whose caller is known."""
    try:
        exchange = read(incoming)
    except Rejected as rejected:
        return await reject(incoming, rejected)
    if exchange is None:
        return accepted()
    return await listen(exchange) if exchange.method == LISTEN else ModernAnswer(exchange)


class ModernAnswer:
    """Runs an exchange and answers it: with one JSON message, or once something is told before it, with a stream."""

    can_request = False
    status = None

    def __init__(self, exchange: Exchange) -> None:
        self._exchange = exchange
        self._send: Send | None = None
        self._receive: Receive | None = None
        self._task: asyncio.Task[Any] | None = None
        self._streams = False
        self._watching: list[asyncio.Task[Any]] = []

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self._send, self._receive = send, receive
        self._task = asyncio.current_task()
        self._exchange.channel = self
        try:
            await self._answer(scope, receive, send)
        finally:
            for task in self._watching:
                task.cancel()

    async def _answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        exchange = self._exchange
        try:
            message, answer = await outcome(exchange)
        except Turned as turned_away:
            message = error_message(exchange.id, ErrorData(code=-32001, message=turned_away.refusal.message))
            answer = turned(turned_away.refusal, exchange.incoming, turned_away.headers)
        if self._streams:
            await send({"type": "http.response.body", "body": frame(message), "more_body": False})
        else:
            await answer(scope, receive, send)

    async def notify(self, method: str, params: Mapping[str, Any]) -> None:
        if self._send is None:
            return
        if not self._streams:
            self._streams = True
            headers = [*SSE_HEADERS, *self._exchange.headers]
            await self._send({"type": "http.response.start", "status": 200, "headers": headers})
            self._watching = [asyncio.ensure_future(self._watch()), asyncio.ensure_future(self._ping(self._send))]
        body = frame(notification_message(method, params))
        await self._send({"type": "http.response.body", "body": body, "more_body": True})

    async def request(self, method: str, params: Mapping[str, Any]) -> dict[str, Any]:
        raise cannot_ask(method)

    async def close(self) -> None:
        """A stream of this era cannot be taken up again, so it stays."""

    async def _watch(self) -> None:
        """A client that goes away wants nothing any more: what runs for it is cancelled."""
        if self._receive is not None and self._task is not None:
            await disconnection(self._receive)
            self._task.cancel()

    @staticmethod
    async def _ping(send: Send) -> None:
        while True:
            await asyncio.sleep(PING_SECONDS)
            await send({"type": "http.response.body", "body": PING, "more_body": True})


async def outcome(exchange: Exchange) -> tuple[bytes, Answer]:
    """The message that answers an exchange, and the answer that it alone makes. Raises Turned."""
    try:
        result = await _result(exchange)
    except Turned:
        raise
    except Exception as error:
        told = await told_of(exchange, error)
        return error_message(exchange.id, told), error_answer(exchange.id, told, exchange.headers)
    message = result_message(exchange.id, result)
    return message, message_answer(message, headers=exchange.headers)


async def _result(exchange: Exchange) -> Mapping[str, Any] | bytes:
    if is_plain(exchange):
        return result_of(await read_plain(exchange, str((exchange.params or {})["uri"])))
    connection = kernel.modern_connection(exchange.version, exchange.client_info, exchange.capabilities)
    result = await kernel.serve(exchange, exchange.params, connection)
    envelopes.note(exchange)
    return result
