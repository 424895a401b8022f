"""Where clients come in: a node itself, or the gateway in front of several."""

import ssl
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Protocol

from tests.stack.answers import Answer
from tests.stack.grpc_client import Grpc
from tests.stack.rest import Rest
from tests.stack.sockets import Socket


class Client(Protocol):
    """Calls methods of the table for one user; raises Refused."""

    async def call(self, method: str, /, **params: object) -> Answer: ...


class Door(Protocol):
    """Clients of whoever bears a token, or of nobody. `base` is the URL; over TLS, `tls` says whom to trust."""

    @property
    def base(self) -> str: ...

    @property
    def tls(self) -> ssl.SSLContext | None: ...

    def rest(self, token: str | None = None, *, headers: Mapping[str, str] | None = None) -> Rest: ...

    def grpc(
        self,
        token: str | None = None,
        *,
        metadata: Mapping[str, str] | None = None,
        options: Mapping[str, int] | None = None,
    ) -> Grpc: ...

    async def socket(self, token: str | None = None, **options: object) -> Socket: ...


TRANSPORTS = ("rest", "websocket", "grpc")
"""Those over which every method can be called."""


@asynccontextmanager
async def client(door: Door, transport: str, token: str | None) -> AsyncIterator[Client]:
    """A client over one transport."""
    made: Rest | Socket | Grpc
    if transport == "rest":
        made = door.rest(token)
    elif transport == "grpc":
        made = door.grpc(token)
    else:
        made = await door.socket(token)
    async with made:
        yield made


@asynccontextmanager
async def clients(door: Door, token: str | None) -> AsyncIterator[Mapping[str, Client]]:
    """One client over each transport."""
    async with AsyncExitStack() as opened:
        yield {name: await opened.enter_async_context(client(door, name, token)) for name in TRANSPORTS}
