"""The audit database is gone for long: entries wait, beyond the watermark nothing is done, afterwards all are moved."""

import json
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import httpx
import psycopg
import pytest

from tests.stack.answers import Refused
from tests.stack.cluster import KINDS, Cluster, Kind, running
from tests.stack.postgres_server import PostgresServer
from tests.stack.redis_server import RedisServer
from tests.stack.waiting import eventually

MOST = 1_000


@pytest.fixture(scope="module", params=KINDS)
def cluster(request: pytest.FixtureRequest, postgres: PostgresServer, redis: RedisServer) -> Iterator[Cluster]:
    """A node that takes no work while more than a thousand entries wait."""
    kind: Kind = request.param
    environment = {"AUDIT_MAX_PENDING": str(MOST)}
    with running(kind, postgres=postgres, redis=redis, environment=environment) as cluster:
        yield cluster


async def test_above_the_watermark_work_is_refused_and_all_is_moved_when_the_database_is_back(cluster: Cluster) -> None:
    tree = cluster.tree()
    _rename(cluster, "audit_app_auditentry", "elsewhere")
    made: list[str] = []
    async with cluster.rest("alice") as alice, cluster.rest("admin") as admin:
        refused = await _fill(alice, tree, made)
        assert (refused.code, refused.number) == ("unavailable", 503)
        assert int(refused.headers["retry-after"]) >= 1
        # a look a second: what was answered in between is on record, and bounded by that second
        assert cluster.truth.waiting_entries() >= MOST - 200
        for method, params in (
            ("auth/login", {"username": "alice", "password": cluster.passwords["alice"]}),
            ("sessions/create", {}),
            ("resources/read", {"uri": made[0]}),
        ):
            with pytest.raises(Refused) as security:
                await alice.call(method, **params)
            assert security.value.code == "unavailable", method
        health = (await admin.http.get("/health/ready")).json()
        assert [name for name, check in health["checks"].items() if check["status"] == "failed"] == ["audit"]
        metrics = (await admin.http.get("/metrics")).text
        assert 'erlmcp_audit_pending{queue="data"}' in metrics
        waiting = _request_ids(cluster)
        _rename(cluster, "elsewhere", "audit_app_auditentry")
        await eventually(lambda: _is_ready(admin.http), 60, "the node takes work again")
        await alice.call("resources/create", uri=f"{tree}after", content=1)
    await eventually(lambda: cluster.truth.waiting_entries() == 0, 60, "all entries are moved")
    moved = [request for (request,) in cluster.truth.audit.rows("SELECT request_id FROM audit_app_auditentry")]
    assert waiting <= set(moved)
    numbers = [n for (n,) in cluster.truth.audit.rows("SELECT sequence FROM audit_app_auditentry ORDER BY sequence")]
    assert numbers == list(range(1, len(numbers) + 1))
    written = [entry["resource_id"] for entry in cluster.truth.entries(tree) if entry["action"] == "resources/create"]
    assert sorted(written) == sorted([*made, f"{tree}after"]), "each answered change is on record once"


async def _fill(alice: object, tree: str, made: list[str]) -> Refused:
    """Write until that is refused."""
    for number in range(20 * MOST):
        uri = f"{tree}{number}"
        try:
            await alice.call("resources/create", uri=uri, content=number)  # type: ignore[attr-defined]
        except Refused as refused:
            return refused
        made.append(uri)
    raise AssertionError("nothing was refused")


async def _is_ready(http: httpx.AsyncClient) -> bool:
    return (await http.get("/health/ready")).status_code == 200


def _request_ids(cluster: Cluster) -> set[str]:
    rows = cluster.truth.main.rows("SELECT entry FROM audit_app_outboxentry")
    return {json.loads(text)["request_id"] for (text,) in rows}


def _rename(cluster: Cluster, table: str, to: str) -> None:
    """What the mover does not find, as when an operator has moved it away."""
    url, statement = cluster.truth.audit.url, f"ALTER TABLE {table} RENAME TO {to}"
    if cluster.truth.audit.is_sqlite:
        with closing(sqlite3.connect(Path(url.removeprefix("sqlite:///")), timeout=20)) as file, file:
            file.execute(statement)
        return
    with psycopg.connect(url) as server:
        server.execute(statement.encode())
