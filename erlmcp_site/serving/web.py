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
from erlmcp_site.logs.threads import begin_threads
from erlmcp_site.node import node
from erlmcp_site.serving.ending import CUT_STATUS, FINISH_SECONDS
from erlmcp_site.serving.http_protocol import HttpProtocol
from erlmcp_site.serving.listening import BACKLOG
from erlmcp_site.transports.grpc.server import Server as GrpcServer
from erlmcp_site.transports.websocket.protocol import Protocol

KEEP_ALIVE_SECONDS = 75

COLLECTING = (5_000, 2, 50)
"""How many more objects than before make the collector look, and how often it looks at the older ones. A new socket
leaves a hundred that stay: by Python's own 700 it looks at them again and again, a tenth of what the socket costs.
By Python's own ten, everybody waits 13 to 22 ms whenever it looks at the middle generation, and 4 to 6 by two."""


class WebServer(uvicorn.Server):
    """A uvicorn that drains on the first SIGTERM or SIGINT, and hurries on the second.

    Draining: the node is not ready any more, and lets go of everyone connected, while requests are still answered; then
    nothing new is accepted, and what is under way is finished. In a hurry all that is left out, but what waits to be
    written is written. `has_cut` tells whether something that was under way was cut off.
    gRPC is answered beside HTTP, in the same loop, on a port of its own (None: not at all).
    """

    def __init__(self, config: uvicorn.Config, ready: int | None, grpc: tuple[str, int] | None) -> None:
        super().__init__(config)
        self._ready = ready
        self._grpc_address = grpc
        self._grpc: GrpcServer | None = None
        self._draining: asyncio.Task[None] | None = None
        self.has_cut = False

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        # or the first answers had neither a date nor any other header that all have
        await self.on_tick(0)
        await super().startup(sockets)
        if self._grpc_address is not None and not self.should_exit:
            self._grpc = GrpcServer()
            await self._grpc.start(*self._grpc_address)
        # what start-up made stays for ever: the collector need not look at it again (p99 28 ms without, 5.7 with)
        gc.collect()
        gc.freeze()
        gc.set_threshold(*COLLECTING)
        life.ready()
        if self._ready is not None:
            os.write(self._ready, b"\n")

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        await super().shutdown(sockets)
        if self.force_exit:
            # uvicorn leaves out the end of the lifespan then, which is where the writer is emptied
            await self.lifespan.shutdown()

    async def _wait_tasks_to_complete(self) -> None:
        """What uvicorn waits for at most FINISH_SECONDS, before the lifespan ends."""
        ending = asyncio.get_running_loop().create_task(self._end_grpc())
        try:
            await super()._wait_tasks_to_complete()
        except asyncio.CancelledError:
            self.has_cut = True
            raise
        finally:
            self.has_cut |= bool(self.server_state.tasks)
            await asyncio.shield(ending)

    async def _end_grpc(self) -> None:
        if self._grpc is not None and not await self._grpc.stop(0 if self.force_exit else FINISH_SECONDS):
            self.has_cut = True

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
            self._draining.cancel()
            self.should_exit = self.force_exit = True

    async def _drain(self) -> None:
        life.draining()
        try:
            await node.drain(settings.DRAIN_SECONDS, settings.DRAIN_NOTICE_SECONDS)
        finally:
            self.should_exit = True


def serve(listener: socket.socket, ready: int | None) -> int:
    """Serve on a bound socket until a signal, and return the exit status: 0, 1 when it could not begin, or CUT_STATUS.

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
        timeout_graceful_shutdown=FINISH_SECONDS,
    )
    grpc = None if settings.GRPC_PORT is None else (listener.getsockname()[0], settings.GRPC_PORT)
    server = WebServer(config, ready, grpc)
    begin_threads()
    server.run(sockets=[listener])
    if not server.started:
        return 1
    return CUT_STATUS if server.has_cut else 0
