"""One way of calling for each transport, through the gateway, that connects again by itself."""

import asyncio
import json
import time
from collections.abc import Awaitable, Callable
from typing import Any, Protocol

import grpc
import httpx
from websockets.exceptions import InvalidHandshake

from tests.stack.agent import Agent
from tests.stack.answers import Answer, Refused
from tests.stack.gateway import Gateway
from tests.stack.grpc_client import Unanswered as UnansweredRpc
from tests.stack.rest import answer_of
from tests.stack.sockets import Closed, Socket

ANSWER_SECONDS = 8.0
"""After so long a client takes an attempt for lost, and asks again."""


class Unanswered(Exception):
    """Nobody knows what became of the call; `retry_seconds` is when to come back, where somebody said so."""

    def __init__(self, why: object, retry_seconds: float = 0.0) -> None:
        self.retry_seconds = retry_seconds
        super().__init__(repr(why))


class Channel(Protocol):
    """Calls methods of the table. `transport` is its name."""

    transport: str

    async def call(self, method: str, /, **params: Any) -> Answer:
        """Raises Refused and Unanswered."""

    async def close(self) -> None: ...


class RestChannel:
    """Over HTTP."""

    transport = "rest"

    def __init__(self, gateway: Gateway, token: str) -> None:
        self.rest = gateway.rest(token)

    async def call(self, method: str, /, **params: Any) -> Answer:
        headers = {}
        if method == "resources/read":
            named = {"consistency": "Read-Consistency", "after": "Read-After"}
            headers = {header: str(params.pop(name)) for name, header in named.items() if name in params}
        return await answered(lambda: self._ask(method, headers, params))

    async def _ask(self, method: str, headers: dict[str, str], params: dict[str, Any]) -> Answer:
        return answer_of(await self.rest.send(method, headers, **params))

    async def close(self) -> None:
        await self.rest.http.aclose()


class SocketChannel:
    """Over a WebSocket; after `drain` the next call opens another one, when the server said."""

    transport = "websocket"

    def __init__(self, gateway: Gateway, token: str) -> None:
        self._gateway = gateway
        self._token = token
        self._socket: Socket | None = None

    async def call(self, method: str, /, **params: Any) -> Answer:
        return await answered(lambda: self._ask(method, params))

    async def _ask(self, method: str, params: dict[str, Any]) -> Answer:
        if self._socket is not None and (self._socket.closed.is_set() or drain_ms(self._socket)):
            pause = drain_ms(self._socket) / 1000
            await self.close()
            await asyncio.sleep(pause)
        if self._socket is None:
            self._socket = await self._gateway.socket(self._token)
        socket = self._socket
        try:
            return await socket.call(method, **params)
        except (Closed, asyncio.CancelledError):
            socket.abort()
            raise

    async def close(self) -> None:
        socket, self._socket = self._socket, None
        if socket is not None:
            socket.abort()
            await socket.close()


class GrpcChannel:
    """Over gRPC; a channel that did not answer is left for a new one."""

    transport = "grpc"

    def __init__(self, gateway: Gateway, token: str) -> None:
        self._gateway = gateway
        self._token = token
        self._grpc = gateway.grpc(token)

    async def call(self, method: str, /, **params: Any) -> Answer:
        try:
            return await answered(lambda: self._grpc.call(method, **params))
        except Unanswered:
            await self.close()
            self._grpc = self._gateway.grpc(self._token)
            raise

    async def close(self) -> None:
        await self._grpc.channel.close()


class AgentChannel:
    """Over MCP, whose tools make and change."""

    transport = "mcp"

    def __init__(self, gateway: Gateway, token: str) -> None:
        self.agent = Agent(gateway, token)

    async def call(self, method: str, /, **params: Any) -> Answer:
        if method == "resources/write" and "base_version" not in params:
            # what writers make without a base is new
            method = "resources/create"
        return await answered(lambda: self._ask(method, params))

    async def _ask(self, method: str, params: dict[str, Any]) -> Answer:
        answer = await self.agent.call(method, **params)
        if method != "resources/read":
            return answer
        (contents,) = answer["contents"]
        told = {name: contents["_meta"][f"io.erlmcp/{name}"] for name in ("version", "offset")}
        return Answer(result={**told, "content": json.loads(contents["text"])}, headers=answer.headers)

    async def close(self) -> None:
        await self.agent.close()


async def answered(ask: Callable[[], Awaitable[Answer]]) -> Answer:
    """What is answered in time. Raises Refused, and Unanswered for whatever else becomes of a call."""
    try:
        async with asyncio.timeout(ANSWER_SECONDS):
            return await ask()
    except (httpx.TransportError, InvalidHandshake, OSError, EOFError, UnansweredRpc, grpc.aio.UsageError) as lost:
        raise Unanswered(lost, getattr(lost, "retry_seconds", 0.0)) from lost


def may_have_been_done(refused: Refused) -> bool:
    """Whether a refusal leaves open what became of the change (docs/failures.md, docs/consistency.md)."""
    return refused.code == "unavailable" or refused.data.get("outcome") == "unknown"


def drain_ms(socket: Socket) -> float:
    """When to come back, in milliseconds; 0 for a socket that was not told to go."""
    drains = [notice["params"]["retry_ms"] for notice in socket.notices if notice["method"] == "drain"]
    return max(1.0, drains[0]) if drains else 0.0


def now() -> float:
    """The clock of all histories."""
    return time.monotonic()
