"""Templates of MCP, which are the collections; and completion, of their variables and of arguments of prompts (R7)."""

from typing import Any

from mcp.server.context import ServerRequestContext
from mcp_types import CompleteRequestParams, PaginatedRequestParams

from erlmcp_site.transports.mcp.exchange import Exchange
from erlmcp_site.transports.mcp.handlers.resources import exchange_of, page_asked, page_of
from erlmcp_site.transports.mcp.kernel import server

Context = ServerRequestContext[None, Exchange]

NAMES = {"template": "uriTemplate", "name": "name", "title": "title", "description": "description"} | {
    "mime_type": "mimeType"
}


async def list_templates(context: Context, params: PaginatedRequestParams) -> dict[str, Any]:
    found = await exchange_of(context).ask("resources/templates", page_asked(params))
    templates = [{NAMES[key]: value for key, value in one.items() if value} for one in found["templates"]]
    return page_of("resourceTemplates", templates, found)


async def complete(context: Context, params: CompleteRequestParams) -> dict[str, Any]:
    asked = params.model_dump(mode="json", include={"ref", "argument", "context"}, exclude_none=True)
    found = await exchange_of(context).ask("completion/complete", asked)
    completion = {"values": found["values"], "hasMore": found["has_more"]}
    if "total" in found:
        completion["total"] = found["total"]
    return {"resultType": "complete", "completion": completion}


def register() -> None:
    server.add_request_handler("resources/templates/list", PaginatedRequestParams, list_templates)
    server.add_request_handler("completion/complete", CompleteRequestParams, complete)
