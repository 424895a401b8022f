"""What operators, tools and token checkers read: health, metrics, keys, and the descriptions of the interface."""

import asyncio
import contextlib
from functools import cache
from pathlib import Path

import orjson
from django.conf import settings
from django.db import DatabaseError, InterfaceError
from drf_spectacular.generators import SchemaGenerator

from audit_app.breaker import PartAway
from audit_app.database import in_database
from erlmcp_site.census import census
from erlmcp_site.node import node
from erlmcp_site.transports.http.answers import JSON, NO_STORE, Answer, Header, position_headers
from erlmcp_site.transports.http.incoming import Incoming
from erlmcp_site.transports.http.views import only_get
from resources_app.hub.hub import hub
from sessions_app.keys import jwks
from telemetry_app import health
from telemetry_app.exposition import exposition
from telemetry_app.reporter import reporter

FIVE_MINUTES = (b"cache-control", b"public, max-age=300")
YAML = b"application/yaml; charset=utf-8"


@only_get
async def live(incoming: Incoming) -> Answer:
    """Whether the event loop of this process turns."""
    return _page(incoming, orjson.dumps(health.live()))


@only_get
async def startup(incoming: Incoming) -> Answer:
    """Whether this process has started: 503 until it follows the log, then 200, also while it drains."""
    started = node.start_soon()
    body = orjson.dumps({"status": "ok" if started else "failed"})
    return _page(incoming, body, status=200 if started else 503)


@only_get
async def ready(incoming: Incoming) -> Answer:
    """Whether this process can do its work: 200, or 503 with the checks that say why not."""
    state = await health.ready()
    return _page(incoming, orjson.dumps(state), status=200 if state["status"] == "ok" else 503)


@only_get
async def metrics(incoming: Incoming) -> Answer:
    """All metrics of this node as Prometheus or OpenMetrics text, with what the databases hold if they can be asked."""
    await health.ready()
    with contextlib.suppress(DatabaseError, InterfaceError, PartAway):
        await census.take()
    body, media_type = await asyncio.to_thread(_exposition, incoming.headers.get("accept", ""))
    return _page(incoming, body, media_type.encode())


def _exposition(accept: str) -> tuple[bytes, str]:
    return exposition(reporter.look_now().state, accept)


@only_get
async def keys(incoming: Incoming) -> Answer:
    """The public keys that tokens are signed with, as a JSON Web Key Set (RFC 7517)."""
    return _page(incoming, orjson.dumps(await in_database(jwks)), cache=FIVE_MINUTES)


@only_get
async def openapi(incoming: Incoming) -> Answer:
    """The OpenAPI 3.1 description of the REST interface, as JSON."""
    return _page(incoming, await asyncio.to_thread(openapi_text), cache=FIVE_MINUTES)


@only_get
async def asyncapi(incoming: Incoming) -> Answer:
    """The AsyncAPI 3 description of WebSocket and the event stream."""
    return _page(incoming, asyncapi_text(), YAML, cache=FIVE_MINUTES)


def _page(
    incoming: Incoming, body: bytes, media_type: bytes = JSON, cache: Header = NO_STORE, status: int = 200
) -> Answer:
    return Answer(status, [cache, *position_headers(incoming.id, hub.position)], body, media_type)


@cache
def openapi_text() -> bytes:
    """The document as served; made once, which takes a part of a second."""
    return orjson.dumps(SchemaGenerator().get_schema(request=None, public=True))


@cache
def asyncapi_text() -> bytes:
    return (Path(settings.BASE_DIR) / "docs" / "asyncapi.yaml").read_bytes()
