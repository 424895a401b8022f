"""How the service does right now (contract §2, §9)."""

import contextlib
from typing import Any

from django.conf import settings
from django.db import DatabaseError, InterfaceError
from rest_framework import serializers

from audit_app.breaker import PartAway
from audit_app.commands import Record
from audit_app.writer import writer
from erlmcp_site import readiness  # noqa: F401  # registers the checks that `ready` asks
from erlmcp_site.census import census
from erlmcp_site.methods.table import Method, register
from erlmcp_site.pipeline.authorisation import ADMIN
from erlmcp_site.pipeline.errors import MethodNotFound
from erlmcp_site.pipeline.passage import Passage
from erlmcp_site.profiles import FORMS, MOST_SECONDS, profiles
from erlmcp_site.slow import slow_topics
from resources_app.hub.slow_topics import of_node
from sessions_app.access.decisions import may
from sessions_app.access.rulebook import rulebook
from sessions_app.access.rules import Verb
from sessions_app.errors import Forbidden
from telemetry_app.figures import figures
from telemetry_app.health import ready
from telemetry_app.reporter import reporter
from telemetry_app.snapshot import snapshot
from telemetry_app.state import Note


async def take_snapshot(passage: Passage) -> Any:
    """The health checks, figures of the last minute, all metrics and the slow topics of the node.

    A database that does not answer makes none of that fail: what is counted there stays what it was.
    """
    with contextlib.suppress(DatabaseError, InterfaceError, PartAway):
        await census.take()
    health = await ready()
    slow_topics.look()
    window = await reporter.look()
    topics = await _readable(passage, window.state.notes)
    return {"health": health, "figures": figures(window), "slow_topics": topics, "metrics": snapshot(window.state)}


async def _readable(passage: Passage, notes: list[Note]) -> list[dict[str, Any]]:
    """Slow topics that the caller may read: of others it does not even learn that they are there (contract §2)."""
    found = of_node(notes)
    if not found or passage.caller is None:
        return []
    index = rulebook.index or await rulebook.read()
    return [
        {
            "uri": str(topic.pattern),
            "followers": topic.followers,
            "behind": topic.behind,
            "waiting_seconds": topic.waiting_seconds,
            "cut": topic.cut,
        }
        for topic in found
        if may(index, passage.caller, Verb.READ, topic.pattern)
    ]


class ProfileParams(serializers.Serializer[Any]):
    """For how long, in which form, and of which process the profile is wanted."""

    seconds = serializers.FloatField(required=False, default=10.0, min_value=0.1, max_value=MOST_SECONDS)
    format = serializers.ChoiceField(list(FORMS), required=False, default="text")
    pid = serializers.IntegerField(required=False, min_value=1, max_value=2**31 - 1)


async def take_profile(passage: Passage) -> Any:
    """A profile of the process that answers, for who administers all of it; only where PROFILING allows it."""
    if not passage.known_caller.may(ADMIN):
        # the verb of a part of the tree is no permission for the process
        raise Forbidden(f"telemetry/profile needs {ADMIN}.", needs=ADMIN)
    if not settings.PROFILING:
        raise MethodNotFound("Profiling is off here; PROFILING=1 turns it on.")
    asked = dict(passage.params)
    found = await profiles.take(asked["seconds"], asked["format"], asked.get("pid"))
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
