"""What a client of the modern era begins with: which revisions and capabilities are here (R3)."""

from typing import Any

from mcp.server.context import ServerRequestContext
from mcp_types import RequestParams

from erlmcp_site.transports.mcp.eras import MODERN
from erlmcp_site.transports.mcp.exchange import Exchange
from erlmcp_site.transports.mcp.handlers.resources import exchange_of
from erlmcp_site.transports.mcp.kernel import CAPABILITIES, INSTRUCTIONS, server

FRESH_MS = 3_600_000


async def discover(context: ServerRequestContext[None, Exchange], params: RequestParams) -> dict[str, Any]:
    await exchange_of(context).ask("server/discover", {})
    return {
        "resultType": "complete",
        "supportedVersions": list(MODERN),
        "capabilities": CAPABILITIES,
        "instructions": INSTRUCTIONS,
        "ttlMs": FRESH_MS,
        "cacheScope": "public",
    }


def register() -> None:
    server.add_request_handler("server/discover", RequestParams, discover)
