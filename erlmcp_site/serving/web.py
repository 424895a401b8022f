"""One web process: uvicorn as the measurements want it, which drains before it ends (docs/architecture.md §9)."""

import asyncio
import gc
import os
import signal
import socket
import sys
from collections.abc import Generator
from contextlib import contextmanager
from types import FrameType

import uvicorn
from django.conf import settings

from erlmcp_site import life
from erlmcp_site.asgi import application
from erlmcp_site.node import node
from erlmcp_site.serving.http_protocol import HttpProtocol
from erlmcp_site.serving.listening import BACKLOG
from erlmcp_site.transports.grpc.server import Server as GrpcServer
from erlmcp_site.transports.websocket.protocol import Protocol

GRACEFUL_SECONDS = 3
GRPC_GRACEFUL_SECONDS = 1
KEEP_ALIVE_SECONDS = 75


class WebServer(uvicorn.Server):
    """A uvicorn that drains on the first SIGTERM or SIGINT, and ends at once on the second.

    Draining: the node says so to everyone connected and is not ready any more, while requests are still answered;
    then nothing new is accepted, and what is under way is finished.
    gRPC is answered beside HTTP, in the same loop, on a port of its own (None: not at all).
    """

    def __init__(self, config: uvicorn.Config, ready: int | None, grpc: tuple[str, int] | None) -> None:
        super().__init__(config)
        self._ready = ready
        self._grpc_address = grpc
        self._grpc: GrpcServer | None = None
        self._draining: asyncio.Task[None] | None = None

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if self._grpc_address is not None and not self.should_exit:
            self._grpc = GrpcServer()
            await self._grpc.start(*self._grpc_address)
        # what start-up made stays for ever: the collector need not look at it again (p99 28 ms without, 5.7 with)
        gc.collect()
        gc.freeze()
        life.ready()
        if self._ready is not None:
            os.write(self._ready, b"\n")

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        # before the node stops, which is the last that uvicorn does here
        if self._grpc is not None:
            await self._grpc.stop(GRPC_GRACEFUL_SECONDS)
        await super().shutdown(sockets)

    @contextmanager
    def capture_signals(self) -> Generator[None, None, None]:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self.handle_exit, number, None)
        yield

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        if self._draining is None:
            self._draining = asyncio.get_running_loop().create_task(self._drain())
        else:
            self.should_exit = self.force_exit = True

    async def _drain(self) -> None:
        loop = asyncio.get_running_loop()
        until = loop.time() + settings.DRAIN_SECONDS
        life.draining()
        try:
            await node.drain(within=settings.DRAIN_SECONDS)
            # balancers ask for our health every second or so, and send requests until they have heard
            await asyncio.sleep(max(0.0, until - loop.time()))
        finally:
            self.should_exit = True


def serve(listener: socket.socket, ready: int | None) -> int:
    """Serve on a bound socket until a signal, and return the exit status.

    `ready` is a file descriptor that is written to when requests are answered.
    """
    config = uvicorn.Config(
        application,
        loop="uvloop" if sys.platform != "win32" else "asyncio",
        http=HttpProtocol,
        ws=Protocol,
        ws_max_size=settings.WS_MAX_MESSAGE,
        ws_per_message_deflate=False,
        lifespan="on",
        log_config=None,
        access_log=False,
        proxy_headers=False,
        server_header=False,
        backlog=BACKLOG,
        timeout_keep_alive=KEEP_ALIVE_SECONDS,
        timeout_graceful_shutdown=GRACEFUL_SECONDS,
    )
    grpc = None if settings.GRPC_PORT is None else (listener.getsockname()[0], settings.GRPC_PORT)
    server = WebServer(config, ready, grpc)
    server.run(sockets=[listener])
    return 0 if server.started else 1
