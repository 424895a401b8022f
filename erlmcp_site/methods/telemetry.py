"""How the service does right now (contract §2, §9)."""

from typing import Any

from rest_framework import serializers

from erlmcp_site import readiness  # noqa: F401  # registers the checks that `ready` asks
from erlmcp_site.census import census
from erlmcp_site.methods.table import Method, register
from erlmcp_site.pipeline.passage import Passage
from telemetry_app.health import ready
from telemetry_app.snapshot import snapshot


async def take_snapshot(passage: Passage) -> Any:
    """The health checks and all metrics of the process that answers."""
    await census.take()
    return {"health": await ready(), "metrics": snapshot()}


register(
    Method(
        name="telemetry/snapshot",
        run=take_snapshot,
        params=serializers.Serializer(),
        needs="telemetry:read",
        reads=True,
        resource_type="telemetry",
    )
)
