"""Tools of MCP (R7): listed, called."""

from typing import Any, Final

import orjson
from mcp.server.context import ServerRequestContext
from mcp.shared.exceptions import MCPError
from mcp_types import INVALID_PARAMS, CallToolRequestParams, PaginatedRequestParams

from audit_app.errors import InvalidParams
from erlmcp_site.methods.agents import present_tools
from erlmcp_site.methods.tools.registry import BadArguments, ToolFailure
from erlmcp_site.transports.mcp.exchange import Exchange
from erlmcp_site.transports.mcp.handlers.resources import PRIVATE, exchange_of
from erlmcp_site.transports.mcp.kernel import server

Context = ServerRequestContext[None, Exchange]

BUSINESS: Final = frozenset(
    {
        *("invalid_params", "invalid_uri", "too_deep", "too_large", "unsupported_media_type"),
        *("forbidden", "resource_not_found", "already_exists", "version_conflict", "patch_failed"),
        *("idempotency_mismatch", "illegal_transition"),
    }
)
FIRST_WITH_LINKS: Final = "2025-06-18"
"""The revision that brought links to resources among the results of tools."""


async def list_tools(context: Context, params: PaginatedRequestParams) -> dict[str, Any]:
    found = await exchange_of(context).ask("tools/list", {})
    return {**PRIVATE, "tools": found["tools"]}


async def call_tool(context: Context, params: CallToolRequestParams) -> dict[str, Any]:
    """The result of a tool. Business failures are results that say so; a tool that is not there is an error."""
    exchange = exchange_of(context)
    tool = (await present_tools()).get(params.name)
    if tool is None:
        raise MCPError(INVALID_PARAMS, f"Unknown tool: {params.name}")
    exchange.scopes = frozenset(tool.needs)
    arguments = params.arguments or {}
    try:
        tool.check(arguments)
        result = dict(await tool.run(exchange, arguments))
    except BadArguments as bad:
        await exchange.refuse(InvalidParams(str(bad)))
        result = _failed(str(bad))
    except ToolFailure as failure:
        result = _failed(str(failure))
    except MCPError as error:
        if not _is_business(error):
            raise
        result = _failed(f"{error.message} {orjson.dumps(error.data, default=str).decode()}")
    if exchange.version < FIRST_WITH_LINKS:
        result["content"] = [block for block in result["content"] if block["type"] != "resource_link"]
    return {"resultType": "complete", **result}


def _is_business(error: MCPError) -> bool:
    """Whether an agent can do something about it; what it cannot is an error of the protocol."""
    return isinstance(error.data, dict) and error.data.get("code") in BUSINESS


def _failed(text: str) -> dict[str, Any]:
    return {"content": [{"type": "text", "text": text}], "isError": True}


def register() -> None:
    server.add_request_handler("tools/list", PaginatedRequestParams, list_tools)
    server.add_request_handler("tools/call", CallToolRequestParams, call_tool)
