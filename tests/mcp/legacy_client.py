"""A client of the era of sessions that says what it is told to say, wrong things included."""

import asyncio
import contextlib
import itertools
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from typing import Any

import httpx
import orjson

from tests.stack.cluster import Cluster
from tests.stack.waiting import PATIENCE

NEWEST = "2025-11-25"
INFO = {"name": "tests", "version": "1"}
BOTH = "application/json, text/event-stream"


class Legacy:
    """One client, each of whose requests goes to another one of the nodes.

    `bases` are the URLs of these, `session` its Mcp-Session-Id, `version` what was negotiated.
    """

    def __init__(self, bases: Sequence[str], token: str) -> None:
        own = {"Authorization": f"Bearer {token}"}
        self.http = httpx.AsyncClient(headers=own, timeout=httpx.Timeout(60), trust_env=False)
        self.session: str | None = None
        self.version: str | None = None
        self._bases = itertools.cycle(bases)
        self._ids = itertools.count(1)

    async def close(self) -> None:
        await self.http.aclose()

    @property
    def url(self) -> str:
        """Where the next request goes."""
        return f"{next(self._bases)}/mcp"

    @property
    def id(self) -> str:
        """The id of our session."""
        assert self.session is not None
        return self.session.partition(".")[0]

    async def begin(
        self, version: str = NEWEST, capabilities: Mapping[str, Any] | None = None, *, ready: bool = True
    ) -> dict[str, Any]:
        """Begin a session; the result of `initialize`."""
        response = await self.initialize(version, capabilities)
        assert response.status_code == 200, response.text
        self.session = response.headers["mcp-session-id"]
        result: dict[str, Any] = response.json()["result"]
        self.version = result["protocolVersion"]
        if ready:
            response = await self.post(notification("notifications/initialized"))
            assert (response.status_code, response.content) == (202, b""), response.text
        return result

    async def initialize(
        self, version: object = NEWEST, capabilities: Mapping[str, Any] | None = None
    ) -> httpx.Response:
        params = {"protocolVersion": version, "capabilities": capabilities or {}, "clientInfo": INFO}
        return await self.post(self.request("initialize", params))

    def request(self, method: str, params: Mapping[str, Any] | None = None) -> dict[str, Any]:
        return {"jsonrpc": "2.0", "id": next(self._ids), "method": method, "params": params or {}}

    def headers(self, **replaced: str | None) -> dict[str, str]:
        """The headers of a message; `replaced` has other values for some, None leaves one out."""
        told = {
            "content-type": "application/json",
            "accept": BOTH,
            "mcp-session-id": self.session,
            "mcp-protocol-version": self.version,
            **{name.replace("_", "-"): value for name, value in replaced.items()},
        }
        return {name: value for name, value in told.items() if value is not None}

    async def post(self, message: Any, **headers: str | None) -> httpx.Response:
        body = message if isinstance(message, bytes) else orjson.dumps(message)
        return await self.http.post(self.url, content=body, headers=self.headers(**headers))

    async def send(self, method: str, params: Mapping[str, Any] | None = None, **headers: str | None) -> httpx.Response:
        return await self.post(self.request(method, params), **headers)

    async def ask(self, method: str, params: Mapping[str, Any] | None = None) -> dict[str, Any]:
        """The result of a request. Raises AssertionError for anything else."""
        response = await self.send(method, params)
        assert response.status_code == 200 and "result" in response.json(), response.text
        result: dict[str, Any] = response.json()["result"]
        return result

    async def error(self, method: str, params: Mapping[str, Any] | None = None) -> dict[str, Any]:
        """The error of a request, which HTTP calls a success."""
        response = await self.send(method, params)
        assert response.status_code == 200 and "error" in response.json(), response.text
        error: dict[str, Any] = response.json()["error"]
        return error

    async def get(self, accept: str = "text/event-stream") -> httpx.Response:
        """The answer to a GET that is refused."""
        return await self.http.get(self.url, headers=self.headers(accept=accept, content_type=None))

    async def end(self, **headers: str | None) -> httpx.Response:
        return await self.http.delete(self.url, headers=self.headers(content_type=None, accept=None, **headers))

    @contextlib.asynccontextmanager
    async def calling(self, message: Mapping[str, Any], **headers: str | None) -> AsyncIterator["Events"]:
        """The stream that answers a message."""
        body = orjson.dumps(message)
        async with self.http.stream("POST", self.url, content=body, headers=self.headers(**headers)) as response:
            yield Events(response)

    @contextlib.asynccontextmanager
    async def listening(self, last: str | None = None) -> AsyncIterator["Events"]:
        """A stream that is got, from the event `last` on."""
        told = self.headers(content_type=None, accept="text/event-stream", last_event_id=last)
        async with self.http.stream("GET", self.url, headers=told) as response:
            yield Events(response)


class Events:
    """The events of one stream, one after the other."""

    def __init__(self, response: httpx.Response) -> None:
        self.response = response
        self.last: str | None = None
        self.retry: int | None = None
        self._lines = response.aiter_lines()

    async def next(self, within: float = PATIENCE) -> str | None:
        """The data of the next event, which may be empty; None when the stream has ended."""
        data: str | None = None
        async with asyncio.timeout(within):
            async for line in self._lines:
                name, _, value = line.partition(":")
                value = value.removeprefix(" ")
                if name == "id":
                    self.last = value
                elif name == "retry":
                    self.retry = int(value)
                elif name == "data":
                    data = value
                elif not line and data is not None:
                    return data
        return None

    async def message(self, within: float = PATIENCE) -> dict[str, Any]:
        """The next message; events without one are passed over. Raises AssertionError when the stream has ended."""
        while (data := await self.next(within)) == "":
            continue
        assert data is not None, "the stream has ended"
        said: dict[str, Any] = orjson.loads(data)
        return said


def notification(method: str, params: Mapping[str, Any] | None = None) -> dict[str, Any]:
    return {"jsonrpc": "2.0", "method": method, **({"params": params} if params is not None else {})}


Clients = Callable[..., Awaitable[Legacy]]


@contextlib.asynccontextmanager
async def clients_of(stack: Cluster) -> AsyncIterator[Clients]:
    """Makes clients of users (default: alice) whose session has begun."""
    made: list[Legacy] = []

    async def make(user: str = "alice", *, begun: bool = True, **said: Any) -> Legacy:
        client = Legacy([node.base for node in stack.nodes], stack.token(user))
        made.append(client)
        if begun:
            await client.begin(**said)
        return client

    yield make
    await asyncio.gather(*(client.close() for client in made))
