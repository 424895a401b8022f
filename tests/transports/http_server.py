"""The whole application on a real uvicorn in the loop of the test, and what tests ask of it over HTTP."""

import asyncio
import contextlib
import socket
import time
from collections.abc import AsyncIterator, Mapping
from typing import Any

import httpx
import uvicorn

from audit_app.database import in_database
from erlmcp_site.asgi import application
from resources_app.models import LogHead
from sessions_app.keys import ensure_signing_key
from sessions_app.sessions import forget
from tests.stack.sse import Stream
from tests.stack.waiting import PATIENCE
from tests.transports.websocket_server import PASSWORD, add_users

API = "/api/v1"
JSON = {"Content-Type": "application/json"}


class NotOpened(AssertionError):
    """A stream was refused."""


class Site:
    """A running server. `http` is a client without a token."""

    def __init__(self, http: httpx.AsyncClient) -> None:
        self.http = http
        self._headers: dict[str, dict[str, str]] = {}

    async def log_in(self, user: str) -> Any:
        """The tokens of a new login."""
        response = await self.http.post(f"{API}/auth/login", json={"username": user, "password": PASSWORD})
        assert response.status_code == 200, response.text
        return response.json()

    async def ask(
        self, verb: str, path: str, headers: dict[str, str] | None = None, user: str = "alice", **options: Any
    ) -> httpx.Response:
        """The answer to a request of a user to a path below the API."""
        if user not in self._headers:
            self._headers[user] = bearer((await self.log_in(user))["access"])
        return await self.http.request(
            verb, f"{API}/{path}", headers={**self._headers[user], **(headers or {})}, **options
        )

    async def write(self, path: str, content: Any, user: str = "alice") -> Any:
        """The resource after a write."""
        response = await self.ask("PUT", f"resources/{path}", json={"content": content}, user=user)
        assert response.status_code in {200, 201}, response.text
        return response.json()

    @contextlib.asynccontextmanager
    async def stream(
        self, token: str, uri: str, headers: Mapping[str, str] | None = None, **query: str
    ) -> AsyncIterator[Stream]:
        """An open event stream; a field of the query that Python reserves ends in an underscore. Raises NotOpened."""
        told = {**bearer(token), **(headers or {})}
        params = {name.rstrip("_"): value for name, value in {"uri": uri, **query}.items()}
        async with self.http.stream("GET", f"{API}/events/stream", params=params, headers=told) as response:
            if response.status_code != 200:
                raise NotOpened(await response.aread())
            stream = Stream(response.headers)
            async with stream.reading(response):
                yield stream


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


async def until(check: Any, within: float = PATIENCE) -> None:
    """Wait until something holds."""
    deadline = time.monotonic() + within
    while not check():
        assert time.monotonic() < deadline, "it did not come to pass"
        await asyncio.sleep(0.01)


def _prepare() -> None:
    """What migrations and the first start make, and a test before may have flushed."""
    for stream in ("changes", "control"):
        LogHead.objects.get_or_create(stream=stream, defaults={"head": 0, "earliest": 1})
    forget()
    ensure_signing_key()
    add_users()


@contextlib.asynccontextmanager
async def serving_http() -> AsyncIterator[Site]:
    """A server on a free port, with its node started."""
    await in_database(_prepare)
    listener = socket.create_server(("127.0.0.1", 0))
    config = uvicorn.Config(
        application, lifespan="on", log_config=None, proxy_headers=False, timeout_graceful_shutdown=2
    )
    server = uvicorn.Server(config)
    server.capture_signals = contextlib.nullcontext  # type: ignore[method-assign,assignment]  # pytest keeps its signals
    running = asyncio.create_task(server.serve(sockets=[listener]))
    try:
        await until(lambda: server.started or running.done())
        assert not running.done()
        base = f"http://localhost:{listener.getsockname()[1]}"
        async with httpx.AsyncClient(base_url=base, timeout=60, trust_env=False) as http:
            yield Site(http)
    finally:
        server.should_exit = True
        await running
