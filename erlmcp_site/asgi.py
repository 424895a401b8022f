"""The ASGI application: API routes to the lean handler, sockets to their endpoint, the rest to Django's own."""

import asyncio
import os
from importlib import import_module
from typing import Any

from channels.routing import ProtocolTypeRouter
from django.conf import settings
from django.core.asgi import get_asgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "erlmcp_site.settings")
django_application = get_asgi_application()

from erlmcp_site import life  # noqa: E402
from erlmcp_site.node import node  # noqa: E402
from erlmcp_site.transports.addresses import scheme_of  # noqa: E402
from erlmcp_site.transports.http.answers import Receive, Send  # noqa: E402
from erlmcp_site.transports.http.incoming import Scope  # noqa: E402
from erlmcp_site.transports.http.lean import LeanHandler  # noqa: E402
from erlmcp_site.transports.mcp.authorization import PATH as MCP_PATH  # noqa: E402
from erlmcp_site.transports.websocket.endpoint import websocket_application  # noqa: E402
from erlmcp_site.urls import lean_routes  # noqa: E402

LEAN_PREFIXES = ("/api/", "/health/", "/metrics", "/.well-known/")
DOCS_PATH = "/api/v1/docs"

MCP_ENDPOINT = "erlmcp_site.transports.mcp.endpoint"

lean_handler = LeanHandler(lean_routes, node.ensure_started)
endpoints: dict[str, Any] = {}
"""What is imported when it is asked for first."""


async def http_application(scope: dict[str, Any], receive: Receive, send: Send) -> None:
    """Requests, by where they go; from here on their scheme is that of the client's own connection."""
    if settings.TRUSTED_PROXIES:
        scope["scheme"] = scheme_of(scope)
    path: str = scope["path"]
    if path.startswith(LEAN_PREFIXES) and path != DOCS_PATH:
        await lean_handler(scope, receive, send)
    elif path == MCP_PATH:
        await mcp_application(scope, receive, send)
    else:
        await django_application(scope, receive, send)


async def mcp_application(scope: Scope, receive: Receive, send: Send) -> None:
    """MCP, whose SDK takes as long to import as everything else together: a start does without it."""
    if MCP_PATH not in endpoints:
        endpoints[MCP_PATH] = await asyncio.to_thread(import_module, MCP_ENDPOINT)
    await endpoints[MCP_PATH].mcp_application(scope, receive, send)


async def socket_application(scope: Scope, receive: Receive, send: Send) -> None:
    """WebSockets, once the node has started."""
    await node.ensure_started()
    await websocket_application(scope, receive, send)


async def lifespan_application(scope: Scope, receive: Receive, send: Send) -> None:
    """Start the node before the first request, and stop it after the last."""
    await receive()
    try:
        await node.start()
    except Exception as error:
        await send({"type": "lifespan.startup.failed", "message": f"{type(error).__name__}: {error}"})
        raise
    life.started()
    await send({"type": "lifespan.startup.complete"})
    await receive()
    life.stopping()
    await node.stop()
    await send({"type": "lifespan.shutdown.complete"})


application: Any = ProtocolTypeRouter(
    {"http": http_application, "websocket": socket_application, "lifespan": lifespan_application}
)
