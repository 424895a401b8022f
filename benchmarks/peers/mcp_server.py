"""Servers of MCP as their makers build them, with the resources of the reads in memory: `python -m … <kind> <port>`.

They know no callers, ask no leave and keep no record. `sdk` is the low-level server of the SDK, `fastmcp` FastMCP.
"""

import json
import sys
from collections.abc import Callable
from typing import Any

import uvicorn
from fastmcp import FastMCP
from mcp.server.lowlevel.server import Server
from mcp_types import ReadResourceRequestParams, ReadResourceResult, TextResourceContents

from benchmarks.content import content, uri

KEYS = 100
TEXTS = {uri(key): json.dumps(content(0), separators=(",", ":")) for key in range(KEYS)}
JSON = "application/json"


def _reader(text: str) -> Callable[[], str]:
    def read() -> str:
        return text

    return read


def sdk() -> Any:
    """The low-level server of the SDK."""

    async def read(context: Any, params: ReadResourceRequestParams) -> ReadResourceResult:
        contents = TextResourceContents(uri=params.uri, mime_type=JSON, text=TEXTS[params.uri])
        return ReadResourceResult(contents=[contents])

    return Server("bare", version="1", on_read_resource=read).streamable_http_app(json_response=True)


def fastmcp() -> Any:
    """FastMCP, with a function a resource."""
    server = FastMCP("bare")
    for place, text in TEXTS.items():
        server.resource(place, mime_type=JSON)(_reader(text))
    return server.http_app(json_response=True)


if __name__ == "__main__":
    application = {"sdk": sdk, "fastmcp": fastmcp}[sys.argv[1]]()
    uvicorn.run(
        application, port=int(sys.argv[2]), loop="uvloop", http="httptools", access_log=False, log_level="warning"
    )
