"""A process that answers gRPC and nothing else."""

import asyncio
import signal
from collections.abc import Callable

import uvloop
from django.conf import settings

from erlmcp_site import life
from erlmcp_site.node import node
from erlmcp_site.serving.ending import FINISH_SECONDS
from erlmcp_site.transports.grpc.server import Server
from telemetry_app import life as telemetry


def serve(host: str, port: int, say: Callable[[str], None]) -> bool:
    """Serve until SIGTERM or SIGINT, then drain and end; a second one hurries, as it does in a web process.

    `say` is given a line once RPCs are answered. Returns whether nothing was cut off. Raises CannotBind, and what the
    database raises.
    """
    return uvloop.run(_serve(host, port, say))


async def _serve(host: str, port: int, say: Callable[[str], None]) -> bool:
    loop, told_to_end, told_again = asyncio.get_running_loop(), asyncio.Event(), asyncio.Event()

    def tell() -> None:
        (told_again if told_to_end.is_set() else told_to_end).set()

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, tell)
    server = Server()
    telemetry.begin("grpc")
    await node.start()
    try:
        life.started()
        bound = await server.start(host, port)
        life.ready()
        say(f"gRPC on {host}:{bound}")
        await told_to_end.wait()
        life.draining()
        ending, hurrying = loop.create_task(_end(server)), loop.create_task(told_again.wait())
        await asyncio.wait((ending, hurrying), return_when=asyncio.FIRST_COMPLETED)
        hurrying.cancel()
        if not ending.done():
            ending.cancel()
            ending = loop.create_task(server.stop(0))
        is_whole = await ending
        life.stopping()
        return is_whole
    finally:
        await node.stop()


async def _end(server: Server) -> bool:
    await node.drain(settings.DRAIN_SECONDS, settings.DRAIN_NOTICE_SECONDS)
    return await server.stop(FINISH_SECONDS)
