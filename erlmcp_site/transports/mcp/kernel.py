"""What is the SDK's: its registry of methods, its checks by revision, and the shaping of results (mcp 2.3).

This is the only module that touches what is private or provisional there; `tests/mcp/test_kernel.py` holds what it
relies on. HTTP, sessions and subscriptions are ours: the SDK's sessions live in one process, and its subscriptions ask
nobody for leave.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import anyio
from mcp.server.connection import Connection
from mcp.server.lowlevel.server import Server
from mcp.server.runner import ServerRunner
from mcp.shared.dispatcher import CallOptions
from mcp.shared.exceptions import MCPError, NoBackChannelError
from mcp.shared.jsonrpc_dispatcher import handler_exception_to_error_data, progress_token_from_params
from mcp.shared.message import MessageMetadata, ServerMessageMetadata
from mcp.shared.transport_context import TransportContext
from mcp_types import ErrorData, InitializeRequestParams, RequestId

from erlmcp_site import VERSION
from erlmcp_site.transports.mcp.exchange import Exchange

NAME = "erlmcp"
INSTRUCTIONS = (
    "A governed hub of live data. Every resource has a URI; read it with resources/read, find others with the tool "
    "resource_search, change them with resource_create, resource_update and resource_delete, and follow them with a "
    "subscription. What you may not read is not there."
)

CAPABILITIES = {
    "resources": {"subscribe": True, "listChanged": True},
    "tools": {"listChanged": True},
    "prompts": {"listChanged": True},
    "completions": {},
}
"""What is served in both eras."""

server: Server[None] = Server(NAME, version=VERSION, instructions=INSTRUCTIONS)
# its own spans: ours are those of the pipeline
server.middleware.clear()

HERE = TransportContext(kind="streamable-http", can_send_request=False)
ASKING = TransportContext(kind="streamable-http", can_send_request=True)


Peer = ServerRunner[None]
"""The SDK's side of a client."""


async def serve(exchange: Exchange, params: Mapping[str, Any] | None, connection: Connection) -> dict[str, Any]:
    """The result of a request, as its revision has it. Raises MCPError, ValidationError, and what handlers raise."""
    return await serve_peer(exchange, params, ServerRunner(server, connection, None))


async def serve_peer(exchange: Exchange, params: Mapping[str, Any] | None, peer: Peer) -> dict[str, Any]:
    """The same, for a client of the legacy era, who is known from its handshake."""
    return await peer.on_request(Dispatched(exchange, params), exchange.method, params)


def peer_of(version: str, client: object, capabilities: object) -> Peer:
    """A client of the legacy era, as it has described itself in its handshake."""
    return ServerRunner(server, Connection.from_envelope(version, client, capabilities), None)


def handshake_of(params: object) -> InitializeRequestParams:
    """What a client says of itself in `initialize`. Raises ValidationError."""
    return InitializeRequestParams.model_validate(params, by_name=False)


def modern_connection(version: str, client: object, capabilities: object) -> Connection:
    """Who a request of the modern era says that it comes from."""
    return Connection.from_envelope(version, client, capabilities)


def error_of(error: BaseException) -> ErrorData | None:
    """What a client is told of what a handler raised; None for what it is told nothing of."""
    return handler_exception_to_error_data(error)


@dataclass(slots=True)
class Dispatched:
    """The SDK's DispatchContext of one exchange."""

    exchange: Exchange
    params: Mapping[str, Any] | None

    @property
    def transport(self) -> TransportContext:
        return ASKING if self.can_send_request else HERE

    @property
    def can_send_request(self) -> bool:
        channel = self.exchange.channel
        return channel is not None and channel.can_request

    @property
    def request_id(self) -> RequestId:
        return self.exchange.id

    @property
    def message_metadata(self) -> MessageMetadata:
        channel = self.exchange.channel
        return ServerMessageMetadata(
            request_context=self.exchange, close_sse_stream=None if channel is None else channel.close
        )

    @property
    def progress_token(self) -> str | int | None:
        return progress_token_from_params(self.params)

    @property
    def cancel_requested(self) -> anyio.Event:
        return anyio.Event()

    async def send_raw_request(
        self, method: str, params: Mapping[str, Any] | None, opts: CallOptions | None = None
    ) -> dict[str, Any]:
        channel = self.exchange.channel
        if channel is None or not channel.can_request:
            raise NoBackChannelError(method)
        return await channel.request(method, params or {})

    async def notify(self, method: str, params: Mapping[str, Any] | None, opts: CallOptions | None = None) -> None:
        if self.exchange.channel is not None:
            await self.exchange.channel.notify(method, params or {})

    async def progress(self, progress: float, total: float | None = None, message: str | None = None) -> None:
        await self.exchange.progress(progress, total, message)


__all__ = ["CAPABILITIES", "ErrorData", "MCPError"]
