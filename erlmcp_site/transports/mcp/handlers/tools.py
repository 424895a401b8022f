"""Tools of MCP (R7): listed, called."""

from typing import Any

from mcp.server.context import ServerRequestContext
from mcp.shared.exceptions import MCPError
from mcp_types import INVALID_PARAMS, CallToolRequestParams, PaginatedRequestParams

from erlmcp_site.methods.tools.registry import TOOLS, BadArguments, ToolFailure
from erlmcp_site.transports.mcp.exchange import Exchange
from erlmcp_site.transports.mcp.kernel import server

Context = ServerRequestContext[None, Exchange]


async def list_tools(context: Context, params: PaginatedRequestParams) -> dict[str, Any]:
    assert context.request is not None
    found = await context.request.ask("tools/list", {})
    return {"resultType": "complete", "ttlMs": 0, "cacheScope": "private", "tools": found["tools"]}


async def call_tool(context: Context, params: CallToolRequestParams) -> dict[str, Any]:
    """The result of a tool. Business failures are results that say so; a tool that is not there is an error."""
    assert context.request is not None
    tool = TOOLS.get(params.name)
    if tool is None:
        raise MCPError(INVALID_PARAMS, f"Unknown tool: {params.name}")
    arguments = params.arguments or {}
    try:
        tool.check(arguments)
        return {"resultType": "complete", **await tool.run(context.request, arguments)}
    except (BadArguments, ToolFailure) as failure:
        text = {"type": "text", "text": str(failure)}
        return {"resultType": "complete", "content": [text], "isError": True}


def register() -> None:
    server.add_request_handler("tools/list", PaginatedRequestParams, list_tools)
    server.add_request_handler("tools/call", CallToolRequestParams, call_tool)
