"""A node puts on record what it does by itself: that it starts, with which settings, that it drains and stops."""

import json
from collections.abc import Iterator
from typing import Any

import pytest

from tests.stack.cluster import Cluster, running

LIFE = ["node/migrations", "node/start", "node/configuration", "node/ready", "node/drain", "node/stop"]
CANARY = "a-secret-that-nobody-may-read"


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    """A node with a setting that is not the default, and a secret among them."""
    environment = {"AUDIT_POLICY": "resources/list=off", "SECRET_KEY": CANARY * 3}
    with running("sqlite", environment=environment, empty=True) as cluster:
        yield cluster


def entries(cluster: Cluster) -> list[dict[str, Any]]:
    """All entries of system, by the time at which they were made."""
    waiting = [json.loads(text) for (text,) in cluster.truth.main.rows("SELECT entry FROM audit_app_outboxentry")]
    moved = cluster.truth.audit.rows("SELECT id, action, resource_type, details, transport FROM audit_app_auditentry")
    found = {entry["id"]: entry for entry in waiting}
    for id, action, kind, details, transport in moved:
        values = {"id": id, "action": action, "resource_type": kind, "transport": transport}
        found[id] = values | {"details": json.loads(details)}
    return sorted((entry for entry in found.values() if entry["transport"] == "system"), key=lambda entry: entry["id"])


def test_a_life_leaves_its_entries_in_order(cluster: Cluster) -> None:
    assert cluster.nodes[0].stop() == 0
    found = [entry for entry in entries(cluster) if entry["action"].startswith("node/")]
    assert [entry["action"] for entry in found] == LIFE
    migrations, _, configuration, *_ = found
    assert "audit_app.0001_initial" in migrations["details"]["audit"]
    told = configuration["details"]
    assert len(told["digest"]) == 64
    assert {"AUDIT_POLICY", "SECRET_KEY"} <= set(told["changed"])
    assert "AUDIT_READS" not in told["changed"]
    assert CANARY not in json.dumps(entries(cluster))
    keys = [entry for entry in entries(cluster) if entry["action"] == "auth/keys"]
    assert [(entry["resource_type"], entry["details"]["added"]) for entry in keys] == [("key", True)]


def test_the_same_settings_have_the_same_digest(cluster: Cluster) -> None:
    node = cluster.nodes[0]
    node.start()
    assert node.stop() == 0
    digests = [e["details"]["digest"] for e in entries(cluster) if e["action"] == "node/configuration"]
    assert len(digests) == 2
    assert len(set(digests)) == 1
