"""What clients of the legacy era say about their session (R5): that they are there, and what they want to be told."""

from typing import Any

from mcp.server.context import ServerRequestContext
from mcp_types import RequestParams, SetLevelRequestParams

from erlmcp_site.transports.mcp.exchange import Exchange
from erlmcp_site.transports.mcp.handlers.resources import exchange_of
from erlmcp_site.transports.mcp.kernel import server
from erlmcp_site.transports.mcp.legacy.handshakes import KEY

Context = ServerRequestContext[None, Exchange]


async def ping(context: Context, params: RequestParams) -> dict[str, Any]:
    await exchange_of(context).ask("server/discover", {})
    return {}


async def set_level(context: Context, params: SetLevelRequestParams) -> dict[str, Any]:
    exchange = exchange_of(context)
    found = await exchange.ask("sessions/get", {"session": exchange.session_id})
    metadata = {**found["metadata"], KEY: {**found["metadata"].get(KEY, {}), "log_level": params.level}}
    await exchange.ask("sessions/update", {"session": exchange.session_id, "metadata": metadata})
    return {}


def register() -> None:
    server.add_request_handler("ping", RequestParams, ping)
    server.add_request_handler("logging/setLevel", SetLevelRequestParams, set_level)
