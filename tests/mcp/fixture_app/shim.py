"""The token that the conformance suite cannot send: it is added to each request to `/mcp`, and then really checked."""

import os
from collections.abc import Awaitable, Callable, Mapping
from functools import cache
from pathlib import Path
from typing import Any

from erlmcp_site.transports.mcp.authorization import PATH

TOKEN_FILE = "TEST_MCP_TOKEN_FILE"
"""The variable that names the file with the token; tests write it before the suite begins."""


@cache
def authorization() -> tuple[bytes, bytes]:
    return b"authorization", b"Bearer " + Path(os.environ[TOKEN_FILE]).read_bytes()


def with_token(application: Callable[..., Awaitable[None]]) -> Callable[..., Awaitable[None]]:
    """The application, for clients without a token. Host, Origin and everything else stay as they were sent."""

    async def shim(scope: Mapping[str, Any], receive: Any, send: Any) -> None:
        if scope["type"] == "http" and scope["path"] == PATH:
            scope = {**scope, "headers": [*scope["headers"], authorization()]}
        await application(scope, receive, send)

    return shim
