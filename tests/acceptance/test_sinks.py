"""Entries reach what stands beside a running system: a file for log shippers, and a syslog server."""

import json
from collections.abc import Sequence
from pathlib import Path

import pytest

from tests.audit.receivers import HOST, SyslogReceiver
from tests.stack.cluster import running
from tests.stack.waiting import eventually


def written(path: Path) -> Sequence[str]:
    """URIs of the resources that the lines of a file tell of."""
    lines = path.read_text().splitlines() if path.exists() else []
    return [entry["resource_id"] for entry in map(json.loads, lines) if entry["action"] == "resources/write"]


@pytest.mark.timeout(180)
async def test_a_running_node_delivers_to_its_sinks(tmp_path: Path) -> None:
    path = tmp_path / "audit.jsonl"
    syslog = SyslogReceiver()
    sinks = f"file://{path}?name=files, syslog+tcp://{HOST}:{syslog.port}?name=syslog&format=ocsf"
    try:
        with running("sqlite", environment={"AUDIT_SINKS": sinks}) as cluster:
            uris = [f"{cluster.tree()}note{number}" for number in range(20)]
            async with cluster.rest("alice") as alice:
                for uri in uris:
                    await alice.call("resources/write", uri=uri, content=1)
            await eventually(lambda: list(written(path)) == uris, 60, "the entries in the file")
            await eventually(
                lambda: all(any(uri.encode() in message for message in syslog.messages) for uri in uris),
                60,
                "the entries at the syslog server",
            )
    finally:
        syslog.close()
    assert syslog.errors == []
