"""Resources of MCP (R6): listed, read."""

from collections.abc import Mapping
from typing import Any

import orjson
from mcp.server.context import ServerRequestContext
from mcp_types import PaginatedRequestParams, ReadResourceRequestParams

from erlmcp_site.transports.mcp.answers import place_of
from erlmcp_site.transports.mcp.exchange import Exchange
from erlmcp_site.transports.mcp.kernel import server
from erlmcp_site.transports.mcp.reads import read

Context = ServerRequestContext[None, Exchange]

PRIVATE: Mapping[str, Any] = {"resultType": "complete", "ttlMs": 0, "cacheScope": "private"}
"""What one caller may see is not for others, and is good for no time."""


async def list_resources(context: Context, params: PaginatedRequestParams) -> dict[str, Any]:
    found = await exchange_of(context).ask("resources/list", page_asked(params))
    return page_of("resources", [_listed(document_of(one)) for one in found["resources"]], found)


async def read_resource(context: Context, params: ReadResourceRequestParams) -> dict[str, Any]:
    return {**PRIVATE, "contents": [orjson.loads(await read(exchange_of(context), params.uri))]}


def exchange_of(context: Context) -> Exchange:
    """The exchange that a handler works for."""
    assert context.request is not None
    return context.request


def document_of(result: Any) -> dict[str, Any]:
    """A resource of a result, whose JSON is made already."""
    found: dict[str, Any] = orjson.loads(orjson.dumps(result))
    return found


def page_asked(params: PaginatedRequestParams) -> dict[str, Any]:
    """Which page of a list a client asks for; the empty cursor is that of the first (R6)."""
    return {"cursor": params.cursor} if params.cursor else {}


def page_of(plural: str, entries: list[dict[str, Any]], found: Mapping[str, Any]) -> dict[str, Any]:
    """One page of a list, as it was found for one caller."""
    more = {} if found["next_cursor"] is None else {"nextCursor": found["next_cursor"]}
    return {**PRIVATE, plural: entries, **more}


def _listed(resource: Mapping[str, Any]) -> dict[str, Any]:
    uri = resource["uri"]
    name = resource["name"] or uri.rpartition("/")[2] or uri
    told = {
        "uri": uri,
        "name": name,
        "title": resource["title"],
        "description": resource["description"],
        "mimeType": resource["mime_type"],
    }
    return {
        **{member: value for member, value in told.items() if value},
        "size": resource["size"],
        "annotations": {"lastModified": resource["updated_at"]},
        "_meta": place_of(resource["version"], resource["offset"]),
    }


def register() -> None:
    server.add_request_handler("resources/list", PaginatedRequestParams, list_resources)
    server.add_request_handler("resources/read", ReadResourceRequestParams, read_resource)
