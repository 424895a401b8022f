"""A real uvicorn with the WebSocket endpoint in the loop of the test, a real node behind it, and clients for it."""

import asyncio
import contextlib
import socket
import time
from collections.abc import AsyncIterator
from typing import Any

import orjson
import uvicorn
from django.conf import settings
from django.contrib.auth.models import Group, User
from uuid_utils import uuid7
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

from audit_app.database import in_database
from erlmcp_site.methods.catalogue import pipeline
from erlmcp_site.node import node
from erlmcp_site.pipeline.messages import Credentials, Request
from erlmcp_site.transports.websocket.endpoint import websocket_application
from erlmcp_site.transports.websocket.protocol import Protocol
from sessions_app.keys import ensure_signing_key
from tests.stack.waiting import PATIENCE, eventually

PASSWORD = "correct horse battery"


class Server:
    """The address of a running server, and what tests ask of the system past it."""

    def __init__(self, port: int, uvicorn_server: uvicorn.Server) -> None:
        self.port = port
        self.protocol = uvicorn_server.config.ws_protocol_class
        self._connections = uvicorn_server.server_state.connections
        self.url = f"ws://127.0.0.1:{port}/ws/v1"

    async def has_connections(self, count: int) -> None:
        """Wait until the server holds so many sockets."""
        await eventually(lambda: len(self._connections) == count, PATIENCE, f"{count} sockets")

    async def token(self, username: str = "alice") -> str:
        """An access token of a new login."""
        return str((await self.login(username))["access"])

    async def login(self, username: str = "alice") -> Any:
        return await self.ask("auth/login", {"username": username, "password": PASSWORD})

    async def ask(self, method: str, params: dict[str, Any], as_user: str = "") -> Any:
        """The result of a method, without credentials or as the admin asks it for a user."""
        user = await in_database(User.objects.get, username=as_user) if as_user else None
        request = Request(
            id=str(uuid7()),
            method=method,
            params=params,
            transport="admin" if user else "system",
            timestamp=time.time(),
            credentials=Credentials(user=user) if user else None,
        )
        reply = await pipeline.run(request)
        assert reply.refusal is None, reply.refusal
        return reply.result

    @contextlib.asynccontextmanager
    async def connect(self, token: str | None = None, **options: Any) -> AsyncIterator["Client"]:
        """An open socket, with a bearer token unless that is empty."""
        token = await self.token() if token is None else token
        headers = {**options.pop("headers", {})}
        if token:
            headers["Authorization"] = f"Bearer {token}"
        async with connect(
            self.url, additional_headers=headers, compression=None, proxy=None, max_size=None, **options
        ) as connection:
            yield Client(connection)


class Client:
    """JSON-RPC over one socket; what the server sends unasked is kept in `notices`."""

    def __init__(self, connection: ClientConnection) -> None:
        self.connection = connection
        self.notices: list[Any] = []
        self._number = 0

    async def send(self, value: Any) -> None:
        await self.connection.send(value if isinstance(value, str) else orjson.dumps(value).decode())

    async def receive(self) -> Any:
        """The next message."""
        return orjson.loads(await asyncio.wait_for(self.connection.recv(), PATIENCE))

    async def call(self, method: str, **params: Any) -> Any:
        """The whole answer to a call."""
        self._number += 1
        number = self._number
        await self.send({"jsonrpc": "2.0", "id": number, "method": method, "params": params})
        return await self.answer(number)

    async def answer(self, number: Any) -> Any:
        """The answer with this id."""
        while True:
            message = await self.receive()
            if "method" not in message and message["id"] == number:
                return message
            self.notices.append(message)

    async def result(self, method: str, **params: Any) -> Any:
        answer = await self.call(method, **params)
        assert "result" in answer, answer
        return answer["result"]

    async def notice(self, method: str) -> Any:
        """The parameters of the next notice of this kind."""
        while True:
            for index, message in enumerate(self.notices):
                if message.get("method") == method:
                    del self.notices[index]
                    return message["params"]
            self.notices.append(await self.receive())

    async def events(self, count: int) -> list[Any]:
        """The next events, at least so many."""
        events: list[Any] = []
        while len(events) < count:
            events += (await self.notice("events"))["events"]
        return events

    async def rest(self) -> list[Any]:
        """Everything that comes until the server closes the socket."""
        said: list[Any] = []
        with contextlib.suppress(ConnectionClosed):
            while True:
                said.append(await self.receive())
        return said

    async def closed(self) -> int:
        """The code with which the server closes the socket."""
        await asyncio.wait_for(self.connection.wait_closed(), PATIENCE)
        assert self.connection.close_code is not None
        return self.connection.close_code


def add_users() -> None:
    """admin may do everything, alice everything with resources, bob may read and follow them; each has PASSWORD."""
    User.objects.create_superuser("admin", password=PASSWORD)
    for username, group in {"alice": "user", "bob": "viewer"}.items():
        user = User.objects.create_user(username, password=PASSWORD)
        user.groups.add(Group.objects.get(name=group))


@contextlib.asynccontextmanager
async def serving(protocol: Any = Protocol) -> AsyncIterator[Server]:
    """A server on a free port, with its node started."""
    await in_database(ensure_signing_key)
    await in_database(add_users)
    await node.start()
    listener = socket.create_server(("127.0.0.1", 0))
    config = uvicorn.Config(
        websocket_application,
        ws=protocol,
        ws_max_size=settings.WS_MAX_MESSAGE,
        ws_per_message_deflate=False,
        lifespan="off",
        log_config=None,
        proxy_headers=False,
    )
    server = uvicorn.Server(config)
    server.capture_signals = contextlib.nullcontext  # type: ignore[method-assign,assignment]  # pytest keeps its signals
    running = asyncio.create_task(server.serve(sockets=[listener]))
    try:
        await eventually(lambda: server.started, PATIENCE, "the server starts")
        yield Server(listener.getsockname()[1], server)
    finally:
        server.should_exit = server.force_exit = True
        await running
        await node.stop()
