"""The whole application in this process, the agents that listen to it, and what is kept for them."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Mapping
from typing import Any

import orjson
from django.contrib.auth.models import User

from audit_app.database import in_database
from erlmcp_site.methods.lists import lists
from erlmcp_site.transports.mcp.endpoint import mcp_application
from erlmcp_site.transports.streams import streams
from resources_app.hub.hub import hub
from sessions_app.connected import connected, listening
from tests.stack.mcp_client import Mcp, headers_of
from tests.stack.mcp_listening import Listening
from tests.stack.waiting import eventually
from tests.transports.http_server import Site

A, B, C = "resource://host/a", "resource://host/b", "resource://host/c"


@contextlib.asynccontextmanager
async def agent(site: Site, user: str = "alice", token: str = "", session: str = "") -> AsyncIterator[Mcp]:
    """A client of a user, with a login of its own, or with a token and a session that are there."""
    token = token or (await site.log_in(user))["access"]
    async with Mcp(str(site.http.base_url), token) as client:
        client.http.headers.update({"Session-Id": session} if session else {})
        yield client


async def deny(site: Site, user: str, pattern: str, verb: str = "read") -> None:
    """Let a user do something there no more."""
    asked = {"user": user, "pattern": pattern, "verbs": [verb], "effect": "deny"}
    answer = await site.ask("POST", "access", json=asked, user="admin")
    assert answer.status_code in {200, 201}, answer.text


async def told_apart(stream: Listening, site: Site, path: str) -> None:
    """Wait until the stream has told of one more change there, before which whatever else was to be told has been."""
    written = await site.write(path, "a mark")
    await stream.told_of(f"resource://{path}", written["offset"])


async def gone_all() -> None:
    """Wait until nothing is kept for anybody who listened."""
    users = [str(user.pk) for user in await in_database(lambda: list(User.objects.all()))]

    def counts() -> list[int]:
        held = [count[user] for count in (connected, listening) for user in users]
        return [len(streams), len(lists), len(list(hub.topics)), *held]

    await eventually(lambda: not any(counts()), 30, "nothing is left")


class Reader:
    """A client that listens in this process, and whose reading can be stopped: then what is sent to it waits."""

    def __init__(self, token: str, message: Mapping[str, Any]) -> None:
        self.reads = asyncio.Event()
        self.reads.set()
        self.waits = 0
        self.sent: list[bytes] = []
        headers = {**headers_of(message), "Host": "localhost", "Authorization": f"Bearer {token}"}
        self._scope = {
            "type": "http",
            "method": "POST",
            "path": "/mcp",
            "raw_path": b"/mcp",
            "query_string": b"",
            "scheme": "http",
            "client": ("127.0.0.1", 1),
            "headers": [(name.lower().encode(), value.encode()) for name, value in headers.items()],
        }
        self._body: bytes | None = orjson.dumps(message)

    @contextlib.asynccontextmanager
    async def listening(self) -> AsyncIterator["asyncio.Task[None]"]:
        """The answer under way."""
        answering = asyncio.ensure_future(mcp_application(self._scope, self._receive, self._send))
        try:
            yield answering
        finally:
            answering.cancel()
            await asyncio.gather(answering, return_exceptions=True)

    @property
    def messages(self) -> list[Any]:
        """What has come."""
        lines = b"".join(self.sent).split(b"\n")
        return [orjson.loads(line.removeprefix(b"data: ")) for line in lines if line.startswith(b"data: ")]

    async def _receive(self) -> Mapping[str, Any]:
        body, self._body = self._body, None
        if body is None:
            await asyncio.Event().wait()
        return {"type": "http.request", "body": body, "more_body": False}

    async def _send(self, message: Mapping[str, Any]) -> None:
        self.waits += 1
        await self.reads.wait()
        self.waits -= 1
        self.sent.append(message.get("body", b""))
