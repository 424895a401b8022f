"""How the service does right now (contract §2, §9)."""

from typing import Any

from django.conf import settings
from rest_framework import serializers

from audit_app.commands import Record
from audit_app.writer import writer
from erlmcp_site import readiness  # noqa: F401  # registers the checks that `ready` asks
from erlmcp_site.census import census
from erlmcp_site.methods.table import Method, register
from erlmcp_site.pipeline.authorisation import ADMIN
from erlmcp_site.pipeline.errors import MethodNotFound
from erlmcp_site.pipeline.passage import Passage
from erlmcp_site.profiles import FORMS, MOST_SECONDS, profiles
from telemetry_app.health import ready
from telemetry_app.snapshot import snapshot


async def take_snapshot(passage: Passage) -> Any:
    """The health checks and all metrics of the process that answers."""
    await census.take()
    return {"health": await ready(), "metrics": snapshot()}


class ProfileParams(serializers.Serializer[Any]):
    """For how long, and in which form the profile is wanted."""

    seconds = serializers.FloatField(required=False, default=10.0, min_value=0.1, max_value=MOST_SECONDS)
    format = serializers.ChoiceField(list(FORMS), required=False, default="text")


async def take_profile(passage: Passage) -> Any:
    """A profile of the process that answers; only where PROFILING allows it."""
    if not settings.PROFILING:
        raise MethodNotFound("Profiling is off here; PROFILING=1 turns it on.")
    asked = dict(passage.params)
    found = await profiles.take(asked["seconds"], asked["format"])
    await writer.submit(Record(entry=passage.entry(), details={**asked, "pid": found["pid"]}))
    return found


register(
    Method(
        name="telemetry/profile",
        run=take_profile,
        params=ProfileParams(),
        needs=ADMIN,
        reads=True,
        always_recorded=True,
        resource_type="telemetry",
        seconds=MOST_SECONDS + 30,
    ),
    Method(
        name="telemetry/snapshot",
        run=take_snapshot,
        params=serializers.Serializer(),
        needs="telemetry:read",
        reads=True,
        resource_type="telemetry",
    ),
)
