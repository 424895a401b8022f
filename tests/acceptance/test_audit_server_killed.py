"""The server of the audit database alone is gone: work goes on as long as its entries may wait, and none is lost."""

import asyncio
import json
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from typing import Any

import httpx
import psutil
import psycopg
import pytest

from tests.stack.answers import Refused
from tests.stack.cluster import Cluster, running
from tests.stack.creations import Creators
from tests.stack.postgres_server import PostgresServer
from tests.stack.redis_server import RedisServer
from tests.stack.rest import Rest
from tests.stack.scraping import metric
from tests.stack.waiting import eventually

MOST = 5_000
HOUR = 3_600
ASKING = 12


@pytest.fixture(scope="module")
def audit_server() -> Iterator[PostgresServer]:
    """A server for nothing but the audit database."""
    server = PostgresServer()
    yield server
    server.stop()


@pytest.fixture(scope="module")
def cluster(postgres: PostgresServer, redis: RedisServer, audit_server: PostgresServer) -> Iterator[Cluster]:
    """A node that takes no work while five thousand entries wait, or one for longer than an hour."""
    environment = {"AUDIT_MAX_PENDING": str(MOST), "AUDIT_MAX_LAG_SECONDS": str(HOUR)}
    with running(
        "postgres+redis", postgres=postgres, redis=redis, audit=audit_server, environment=environment, empty=True
    ) as cluster:
        yield cluster


async def test_a_killed_audit_server_delays_entries_and_loses_none(
    cluster: Cluster, audit_server: PostgresServer
) -> None:
    node, tree, truth = cluster.nodes[0], cluster.tree(), cluster.truth
    processes = _processes(cluster)
    async with cluster.rest("alice") as alice, cluster.rest("admin") as admin, _browser(cluster) as browser:
        await alice.call("resources/create", uri=f"{tree}before", content=1)
        await eventually(lambda: truth.moved_entries(tree), 30, "the mover is at work")
        early = Creators(cluster, f"{tree}early/", 2, window=4)
        await early.more_answers(within=30)
        audit_server.kill()

        # requests go on being answered, over either transport
        await early.more_answers(within=30)
        made = [f"{tree}rest/{n}" for n in range(20)]
        for uri in made:
            await alice.call("resources/create", uri=uri, content=1)
        assert (await alice.call("resources/read", uri=made[0]))["content"] == 1
        await early.stop()

        # what waits is told
        waiting = truth.waiting_entries()
        assert waiting >= len(made)
        assert await metric(admin, "erlmcp_audit_pending") >= waiting
        assert await metric(admin, "erlmcp_audit_lag_seconds", queue="data") > 0
        assert _pending_in((await admin.call("telemetry/snapshot")).result) >= waiting

        # that the trail cannot be asked is said clearly: over the API, by a page, by a command
        methods = ["audit/list", "audit/verify"] * (ASKING // 2)
        asking = [asyncio.create_task(_refusal(admin, method)) for method in methods]
        # those who ask the main database are not kept waiting by those who ask the trail, more than it has threads
        while not all(task.done() for task in asking):
            read = await alice.call("resources/read", {"Read-Consistency": "strong"}, uri=made[0])
            assert read["content"] == 1
        for refused in await asyncio.gather(*asking):
            assert (refused.code, refused.number) == ("unavailable", 503)
        assert await metric(admin, "erlmcp_breaker_open", part="trail_reads") == 1
        page = await browser.get("/admin/audit_app/auditentry/")
        assert (page.status_code, page.headers["content-type"].split(";")[0]) == (503, "text/plain")
        said = await asyncio.to_thread(node.manage, "audit", "verify", status=2)
        assert "could not be verified" in said and "Traceback" not in said

        # the hour that nobody waits for here
        entry = _oldest(cluster)
        _make_older(cluster, entry, HOUR)
        await eventually(lambda: _refuses(alice, made[0]), 30, "work is refused for the age of an entry")
        assert await metric(admin, "erlmcp_audit_lag_seconds") > HOUR
        _make_older(cluster, entry, 0)
        await eventually(node.is_ready, 30, "the node takes work again")

        # and so many that no more may wait
        late = Creators(cluster, f"{tree}late/", 2, window=32)
        await eventually(lambda: late.refused, 60, late.writers)
        await late.stop()
        assert await _refuses(alice, made[0])
        ids = [json.loads(text)["id"] for (text,) in truth.main.rows("SELECT entry FROM audit_app_outboxentry")]
        assert len(ids) > MOST * 0.9

        audit_server.start_again()
        await eventually(node.is_ready, 40, "the node takes work again")
        await alice.call("resources/create", uri=f"{tree}after", content=1)
    assert (early.refused, late.refused) == (set(), {"unavailable"})
    for creators in (early, late):
        creators.check()
        await creators.check_moved(within=40)
    trail = [str(id) for (id,) in truth.audit.rows("SELECT id FROM audit_app_auditentry ORDER BY sequence")]
    assert len(trail) == len(set(trail)) and set(ids) <= set(trail)
    rest = [entry["resource_id"] for entry in truth.moved_entries(f"{tree}rest/") if entry["action"].endswith("create")]
    assert sorted(rest) == sorted(made)
    assert "entries in order, 1 to" in await asyncio.to_thread(node.manage, "audit", "verify")
    assert _processes(cluster) == processes, "nothing was restarted"


def _processes(cluster: Cluster) -> set[int]:
    """What the node started: its web process, its worker and its beat."""
    process = cluster.nodes[0].process
    assert process is not None
    return {child.pid for child in psutil.Process(process.pid).children()}


@asynccontextmanager
async def _browser(cluster: Cluster) -> AsyncIterator[httpx.AsyncClient]:
    """A browser that is logged in to the admin."""
    base = cluster.nodes[0].base
    async with httpx.AsyncClient(base_url=base, timeout=40, trust_env=False) as browser:
        await browser.get("/admin/login/")
        form = {"username": "admin", "password": cluster.passwords["admin"]}
        token = {"csrfmiddlewaretoken": browser.cookies["erlmcp_csrf"]}
        answer = await browser.post("/admin/login/", data=form | token, headers={"Referer": base})
        assert answer.status_code == 302, answer.text
        yield browser


async def _refusal(rest: Rest, method: str) -> Refused:
    """What a question to the trail is refused with."""
    with pytest.raises(Refused) as refused:
        await rest.call(method)
    return refused.value


async def _refuses(rest: Rest, uri: str) -> bool:
    """Whether a read is refused because of what waits."""
    try:
        await rest.call("resources/read", uri=uri)
    except Refused as refused:
        assert refused.code == "unavailable"
        assert int(refused.headers["retry-after"]) >= 1
        return True
    return False


def _pending_in(snapshot: Any) -> float:
    (metric,) = (metric for metric in snapshot["metrics"] if metric["name"] == "erlmcp_audit_pending")
    return float(sum(sample["value"] for sample in metric["samples"]))


def _oldest(cluster: Cluster) -> tuple[int, str]:
    ((number, text),) = cluster.truth.main.rows("SELECT id, entry FROM audit_app_outboxentry ORDER BY id LIMIT 1")
    return number, text


def _make_older(cluster: Cluster, entry: tuple[int, str], seconds: int) -> None:
    """Have an entry wait for so many seconds longer than it does."""
    number, text = entry
    fields = json.loads(text)
    at = datetime.fromisoformat(fields["timestamp"]) - timedelta(seconds=seconds)
    older = text.replace(fields["timestamp"], at.strftime("%Y-%m-%dT%H:%M:%S.%fZ")) if seconds else text
    with psycopg.connect(cluster.truth.main.url) as server:
        server.execute("UPDATE audit_app_outboxentry SET entry = %s WHERE id = %s", [older, number])
