"""Resources of MCP (R6): listed, read."""

from collections.abc import Mapping
from typing import Any

import orjson
from mcp.server.context import ServerRequestContext
from mcp_types import PaginatedRequestParams, ReadResourceRequestParams

from erlmcp_site.transports.mcp.exchange import Exchange
from erlmcp_site.transports.mcp.kernel import server
from erlmcp_site.transports.mcp.reads import META, read

Context = ServerRequestContext[None, Exchange]

PRIVATE: Mapping[str, Any] = {"resultType": "complete", "ttlMs": 0, "cacheScope": "private"}
"""What one caller may see is not for others, and is good for no time."""


async def list_resources(context: Context, params: PaginatedRequestParams) -> dict[str, Any]:
    exchange = exchange_of(context)
    asked = {} if not params.cursor else {"cursor": params.cursor}
    found = await exchange.ask("resources/list", asked)
    result = {**PRIVATE, "resources": [_listed(document_of(one)) for one in found["resources"]]}
    if found["next_cursor"] is not None:
        result["nextCursor"] = found["next_cursor"]
    return result


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


def _listed(resource: Mapping[str, Any]) -> dict[str, Any]:
    told = {
        "uri": resource["uri"],
        "name": resource["name"] or resource["uri"].rpartition("/")[2] or resource["uri"],
        "title": resource["title"],
        "description": resource["description"],
        "mimeType": resource["mime_type"],
    }
    return {
        **{name: value for name, value in told.items() if value},
        "size": resource["size"],
        "annotations": {"lastModified": resource["updated_at"]},
        "_meta": {META + "version": resource["version"], META + "offset": resource["offset"]},
    }


def register() -> None:
    server.add_request_handler("resources/list", PaginatedRequestParams, list_resources)
    server.add_request_handler("resources/read", ReadResourceRequestParams, read_resource)
