"""The health service (grpc.health.v1): every service does as well as the process, whose readiness it follows."""

import asyncio
import contextlib
from typing import Any

from grpc_health.v1 import health, health_pb2, health_pb2_grpc

from erlmcp_site.node import node
from erlmcp_site.transports.grpc.rpcs import SERVICE_NAMES
from telemetry_app.health import ready

HEALTH: str = health.SERVICE_NAME
LOOK_SECONDS = 1.0
WHOLE = ""


class Health:
    """Looks every second how the process does, and at once when it begins to drain."""

    def __init__(self) -> None:
        self._servicer = health.aio.HealthServicer()
        self._looking: asyncio.Task[None] | None = None

    def join(self, server: Any) -> None:
        """Answer on a server."""
        health_pb2_grpc.add_HealthServicer_to_server(self._servicer, server)

    def start(self) -> None:
        self._looking = asyncio.get_running_loop().create_task(self._look())

    async def stop(self) -> None:
        """Not serving any more, whatever the checks say."""
        if self._looking is not None:
            self._looking.cancel()
            await asyncio.gather(self._looking, return_exceptions=True)
        await self._tell(is_well=False)

    async def _look(self) -> None:
        while True:
            await self._tell(is_well=(await ready())["status"] == "ok")
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(LOOK_SECONDS):
                    await node.draining.wait()
                await self._tell(is_well=False)
                return

    async def _tell(self, *, is_well: bool) -> None:
        serving = health_pb2.HealthCheckResponse.ServingStatus
        status = serving.SERVING if is_well else serving.NOT_SERVING
        for service in (WHOLE, *SERVICE_NAMES):
            await self._servicer.set(service, status)
