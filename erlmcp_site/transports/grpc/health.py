"""The health service (grpc.health.v1): every service does as well as the process, whose readiness it follows."""

import asyncio
import contextlib
from typing import Any

import grpc
from grpc_health.v1 import health, health_pb2, health_pb2_grpc

from erlmcp_site.node import node
from erlmcp_site.transports.grpc.rpcs import SERVICE_NAMES
from telemetry_app.health import ready

HEALTH: str = health.SERVICE_NAME
LOOK_SECONDS = 1.0
WHOLE = ""


class Health(health.aio.HealthServicer):
    """Looks how the process does when somebody asks, and every second while somebody watches; at most once a second.

    When the process is told to end, whoever watches is told at once.
    """

    def __init__(self) -> None:
        super().__init__()
        self._watching: set[asyncio.Task[None]] = set()
        self._looked_at = -LOOK_SECONDS
        self._looking: asyncio.Task[None] | None = None

    def join(self, server: Any) -> None:
        """Answer on a server."""
        health_pb2_grpc.add_HealthServicer_to_server(self, server)

    async def start(self) -> None:
        """The server takes calls from now on."""
        await self._look()
        self._looking = asyncio.get_running_loop().create_task(self._look_now_and_then())

    async def stop(self) -> None:
        """Not serving any more, whatever the checks say."""
        if self._looking is not None:
            self._looking.cancel()
            await asyncio.gather(self._looking, return_exceptions=True)
        await self._tell(is_well=False)
        # by itself a watch ends only with its client
        for watching in self._watching:
            watching.cancel()

    async def Check(self, request: Any, context: Any) -> Any:
        await self._look()
        return await super().Check(request, context)

    async def Watch(self, request: Any, context: Any) -> None:
        await self._look()
        watching = asyncio.get_running_loop().create_task(super().Watch(request, context))
        self._watching.add(watching)
        try:
            await asyncio.wait((watching,))
            if watching.cancelled():
                context.set_code(grpc.StatusCode.UNAVAILABLE)
                context.set_details("This server ends.")
            else:
                watching.result()
        finally:
            self._watching.discard(watching)
            watching.cancel()

    async def _look_now_and_then(self) -> None:
        while not node.ending.is_set():
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(LOOK_SECONDS):
                    await node.ending.wait()
            if self._watching:
                await self._look()
        await self._tell(is_well=False)

    async def _look(self) -> None:
        now = asyncio.get_running_loop().time()
        if node.ending.is_set():
            await self._tell(is_well=False)
        elif now - self._looked_at >= LOOK_SECONDS:
            self._looked_at = now
            await self._tell(is_well=(await ready())["status"] == "ok")

    async def _tell(self, *, is_well: bool) -> None:
        serving = health_pb2.HealthCheckResponse.ServingStatus
        status = serving.SERVING if is_well else serving.NOT_SERVING
        for service in (WHOLE, *SERVICE_NAMES):
            await self.set(service, status)
