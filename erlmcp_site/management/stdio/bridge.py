"""The bridge itself: what comes in as lines goes out as requests of the same era, and what is answered comes back."""

import logging
from collections.abc import Mapping
from typing import Any, Final

import anyio
import httpx2
from mcp.client.streamable_http import streamable_http_client
from mcp.server.stdio import stdio_server
from mcp.shared.inbound import (
    MCP_METHOD_HEADER,
    MCP_NAME_HEADER,
    MCP_PROTOCOL_VERSION_HEADER,
    NAME_BEARING_METHODS,
    encode_header_value,
    find_invalid_x_mcp_header,
    mcp_param_headers,
    x_mcp_header_map,
)
from mcp.shared.message import ClientMessageMetadata, SessionMessage
from mcp_types import (
    PARSE_ERROR,
    PROTOCOL_VERSION_META_KEY,
    ErrorData,
    JSONRPCError,
    JSONRPCNotification,
    JSONRPCRequest,
    JSONRPCResponse,
    RequestId,
)

from erlmcp_site.management.stdio.reaching import TIMEOUT, Bearer, Reaching

log = logging.getLogger(__name__)

ENDING_SECONDS: Final = 10.0
"""How long answers are waited for once nothing more comes in."""

LISTEN: Final = "subscriptions/listen"


class Conversation:
    """What the bridge knows of what is said: the era, the requests without an answer, the tools that there are."""

    def __init__(self) -> None:
        self.waiting: dict[RequestId, str] = {}
        self._version: str | None = None
        self._schemas: dict[str, Any] = {}
        self._answered = anyio.Event()

    def headers(self, message: object) -> dict[str, str]:
        """What has to stand in the headers of the request that bears a message."""
        if not isinstance(message, JSONRPCRequest | JSONRPCNotification):
            return self._of_session()
        params: Mapping[str, Any] = message.params or {}
        if isinstance(message, JSONRPCRequest):
            self.waiting[message.id] = message.method
        meta = params.get("_meta")
        version = meta.get(PROTOCOL_VERSION_META_KEY) if isinstance(meta, Mapping) else None
        if not isinstance(version, str):
            return self._of_session() if message.method != "initialize" else {}
        told = {MCP_PROTOCOL_VERSION_HEADER: version, MCP_METHOD_HEADER: encode_header_value(message.method)}
        name = params.get(NAME_BEARING_METHODS.get(message.method, ""))
        if isinstance(name, str):
            told[MCP_NAME_HEADER] = encode_header_value(name)
            told |= mcp_param_headers(self._mirrors(message.method, name), params.get("arguments") or {})
        return told

    def hear(self, message: object) -> None:
        """Take note of what the server says."""
        if not isinstance(message, JSONRPCResponse | JSONRPCError) or message.id is None:
            return
        method = self.waiting.pop(message.id, "")
        if isinstance(message, JSONRPCResponse):
            if method == "initialize":
                self._version = str(message.result.get("protocolVersion", ""))
            elif method == "tools/list":
                for tool in message.result.get("tools", []):
                    self._schemas[tool["name"]] = tool.get("inputSchema")
        self._answered.set()

    async def end(self) -> None:
        """Wait until what was asked is answered; what is only listened for is not waited for."""
        while any(method != LISTEN for method in self.waiting.values()):
            self._answered = anyio.Event()
            await self._answered.wait()

    def _of_session(self) -> dict[str, str]:
        return {MCP_PROTOCOL_VERSION_HEADER: self._version} if self._version else {}

    def _mirrors(self, method: str, name: str) -> Mapping[tuple[str, ...], str]:
        schema = self._schemas.get(name) if method == "tools/call" else None
        return {} if schema is None or find_invalid_x_mcp_header(schema) else x_mcp_header_map(schema)


async def bridge(url: str, bearer: Bearer) -> None:
    """Carry messages between standard input and output and a URL, until standard input ends."""
    conversation = Conversation()
    transport = Reaching(httpx2.AsyncHTTPTransport())
    async with (
        httpx2.AsyncClient(transport=transport, auth=bearer, timeout=TIMEOUT) as http,
        stdio_server() as (heard, said),
        streamable_http_client(url, http_client=http, max_sse_event_size=None) as (answers, requests),
        anyio.create_task_group() as tasks,
    ):

        async def answer() -> None:
            async for message in answers:
                if isinstance(message, Exception):
                    log.warning("the server says what is no message: %s", message)
                    continue
                await said.send(SessionMessage(message.message))
                conversation.hear(message.message)

        tasks.start_soon(answer)
        async for message in heard:
            if isinstance(message, Exception):
                error = JSONRPCError(jsonrpc="2.0", id=None, error=ErrorData(code=PARSE_ERROR, message="Parse error"))
                await said.send(SessionMessage(error))
                continue
            told = ClientMessageMetadata(headers=conversation.headers(message.message) or None)
            await requests.send(SessionMessage(message.message, told))
        with anyio.move_on_after(ENDING_SECONDS):
            await conversation.end()
        tasks.cancel_scope.cancel()
        await said.aclose()
