"""`telemetry/snapshot`: health, figures and metrics for who may read telemetry, topics for who may read those."""

import asyncio
import time
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth.models import Permission, User
from pytest_django import Settings

from audit_app.database import in_database
from resources_app.hub import flusher
from resources_app.hub.hub import hub
from resources_app.hub.slow_topics import KIND, slowest
from telemetry_app.publishing import Published
from telemetry_app.state import State
from tests.pipeline.callers import HERE, HIDDEN, Callers
from tests.pipeline.calls import ask, body, token_of
from tests.resources.outlets import Client, following
from tests.stack.waiting import eventually

pytestmark = pytest.mark.django_db(transaction=True, databases=["default", "audit"])


def let_read_telemetry(name: str) -> None:
    User.objects.get(username=name).user_permissions.add(Permission.objects.get(codename="read_telemetry"))


async def test_it_has_figures_health_and_every_metric(callers: Callers) -> None:
    found = body(await callers.ask("root", "telemetry/snapshot"))
    assert found.keys() == {"health", "figures", "slow_topics", "metrics"}
    assert "log" in found["health"]["checks"]
    assert found["figures"]["sessions"]["active"] >= 1
    assert found["figures"]["log_head"] == hub.position
    assert found["slow_topics"] == []
    names = {sample["name"] for metric in found["metrics"] for sample in metric["samples"]}
    assert {"erlmcp_requests_total", "erlmcp_sessions", "erlmcp_log_earliest", "erlmcp_health_check"} <= names
    assert not [name for name in names if name.endswith("_bucket")]


async def test_slow_topics_are_told_to_those_who_may_read_them(
    callers: Callers, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(flusher, "SLOW_SECONDS", 600.0)
    await in_database(lambda: let_read_telemetry("new"))
    token = await token_of("new")
    await callers.grant(HERE, "read")
    stuck = Client(gate=asyncio.Event())
    for uri in (HERE, HIDDEN):
        hub.begin(await hub.follow(following(uri), stuck))
    everything = await write_until_slow(callers, HERE, HIDDEN)
    assert {(topic["followers"], topic["behind"], topic["cut"]) for topic in everything} == {(1, 1, 0)}
    told = body(await ask("telemetry/snapshot", {}, token))["slow_topics"]
    assert [topic["uri"] for topic in told] == [HERE]
    assert stuck.gate is not None
    stuck.gate.set()
    await eventually(lambda: not slowest(hub.topics, 10), 30, "everything arrives")


async def test_slow_topics_are_those_of_all_processes_of_the_node(callers: Callers, settings: Settings) -> None:
    await in_database(lambda: let_read_telemetry("new"))
    token = await token_of("new")
    await callers.grant(HERE, "read")
    other = Published(Path(settings.VAR_DIR) / "metrics")
    try:
        notes = [
            {"kind": KIND, "uri": uri, "followers": 2, "behind": 1, "waiting_seconds": 3.5, "cut": 4}
            for uri in (HERE, HIDDEN)
        ]
        other.write(State(time.time(), notes=[*notes, notes[0] | {"waiting_seconds": 2.0}, {"kind": "another"}]))
        told = body(await ask("telemetry/snapshot", {}, token))["slow_topics"]
    finally:
        other.let_go()
    assert told == [{"uri": HERE, "followers": 4, "behind": 2, "waiting_seconds": 3.5, "cut": 8}]


async def write_until_slow(callers: Callers, *uris: str) -> list[dict[str, Any]]:
    """Change resources until something waits behind what their followers have not taken yet; tells what root sees."""
    topics: list[dict[str, Any]] = []

    async def are_slow() -> bool:
        for uri in uris:
            body(await callers.ask("alice", "resources/write", uri=uri, content=1))
        topics[:] = body(await callers.ask("root", "telemetry/snapshot"))["slow_topics"]
        return {topic["uri"] for topic in topics} == set(uris)

    await eventually(are_slow, 30, "the topics are slow")
    return topics
