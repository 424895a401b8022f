"""A process that answers gRPC and nothing else."""

import asyncio
import signal
from collections.abc import Callable

import uvloop
from django.conf import settings

from erlmcp_site import life
from erlmcp_site.node import node
from erlmcp_site.transports.grpc.server import Server

GRACEFUL_SECONDS = 3


def serve(host: str, port: int, say: Callable[[str], None]) -> None:
    """Serve until SIGTERM or SIGINT, then drain and end; `say` is given a line once RPCs are answered.

    Raises CannotBind, and what the database raises.
    """
    uvloop.run(_serve(host, port, say))


async def _serve(host: str, port: int, say: Callable[[str], None]) -> None:
    loop, told_to_end = asyncio.get_running_loop(), asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, told_to_end.set)
    server = Server()
    await node.start()
    try:
        life.started()
        bound = await server.start(host, port)
        life.ready()
        say(f"gRPC on {host}:{bound}")
        await told_to_end.wait()
        life.draining()
        until = loop.time() + settings.DRAIN_SECONDS
        await node.drain(within=settings.DRAIN_SECONDS)
        # as web processes do: balancers look every second or so
        await asyncio.sleep(max(0.0, until - loop.time()))
        await server.stop(GRACEFUL_SECONDS)
        life.stopping()
    finally:
        await node.stop()
