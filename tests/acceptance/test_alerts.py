"""A real Prometheus with the deployed rules, in a hurry, beside a real node: what goes wrong fires, and clears.

Each test does a few things to the node that have nothing to do with each other, waits for their alerts, heals them and
waits until all is quiet. All alerts are here; tests/telemetry/test_alert_arithmetic.py has their thresholds and times.
"""

import asyncio
import contextlib
import json
import signal
import socket
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from contextlib import AsyncExitStack, ExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg
import pytest

from tests.audit.receivers import HOST, Answer, WebReceiver
from tests.chaos.links import Link, Ways
from tests.scenarios.stopped import stopped
from tests.stack.answers import Refused
from tests.stack.cluster import Cluster, running
from tests.stack.missing import missing
from tests.stack.node import ROOT
from tests.stack.postgres_server import PostgresServer
from tests.stack.processes import Process
from tests.stack.prometheus import Prometheus
from tests.stack.receivers import Lines
from tests.stack.redis_server import RedisServer
from tests.stack.small_disk import CannotMount, SmallDisk, small_disk
from tests.stack.sse import follow
from tests.stack.waiting import Late, eventually

PATIENCE = 180.0
STANDSTILL, TRIES = 10.0, 3
FOLDER_MEGABYTES = 32
VAULT = "resource://vault.example/"
MANAGE = (sys.executable, "manage.py")
BURNS = ("Fast", "Steadily", "Slowly")

pytestmark = pytest.mark.timeout(900)


def nothing_of(received: bytes) -> list[tuple[str, float, int]]:
    """Nobody looks at the metrics that are sent."""
    return []


@dataclass
class Watched:
    """A node with its Prometheus, and what tests do things to."""

    cluster: Cluster
    prometheus: Prometheus
    database: Link
    redis: RedisServer
    receiver: WebReceiver
    graphite: Lines
    disk: SmallDisk

    @contextmanager
    def without_graphite(self) -> Iterator[None]:
        """Nobody is where metrics are sent; the port is kept, and takes no connections."""
        address = (HOST, self.graphite.port)
        self.graphite.stop()
        with socket.socket() as kept:
            kept.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            kept.bind(address)
            yield
            self.graphite = Lines(nothing_of, self.graphite.port)

    async def fires(self, *names: str) -> None:
        """Wait until all these alerts fire, and look at what they say."""
        seen: dict[str, str] = {}

        async def all_seen() -> bool:
            for name, alert in (await self._alerts()).items():
                seen[name] = alert["annotations"]["summary"]
            return seen.keys() >= set(names)

        await eventually(all_seen, PATIENCE, Lacking(names, seen))
        assert not [summary for summary in seen.values() if "<no value>" in summary or "{{" in summary]

    async def is_quiet(self) -> None:
        """Wait until no alert fires."""
        firing: dict[str, object] = {}

        async def nothing_fires() -> bool:
            firing.clear()
            firing.update(await self._alerts())
            return not firing and self.prometheus.value("up") == 1

        await eventually(nothing_fires, PATIENCE, firing)
        assert self.prometheus.troubles() == []

    async def _alerts(self) -> Mapping[str, Mapping[str, Any]]:
        # they are computed once a second: to ask more often would only cost
        await asyncio.sleep(0.25)
        return await asyncio.to_thread(self.prometheus.alerts)


@dataclass
class Lacking:
    """Tells, when time is up, which alerts have not fired."""

    names: tuple[str, ...]
    seen: dict[str, str]

    def __str__(self) -> str:
        return f"{', '.join(sorted(set(self.names) - self.seen.keys()))} fires"


@pytest.fixture(scope="module")
def disk() -> Iterator[SmallDisk]:
    """Where the node keeps its files."""
    with ExitStack() as mounted:
        try:
            yield mounted.enter_context(small_disk(FOLDER_MEGABYTES))
        except CannotMount as why:
            missing(f"only root can mount a disk that may be filled: {why}")


@pytest.fixture(scope="module")
def watched(postgres: PostgresServer, mortal_redis: RedisServer, disk: SmallDisk) -> Iterator[Watched]:
    receiver, graphite = WebReceiver(), Lines(nothing_of)
    environment = {
        "AUDIT_SINKS": f"http://{HOST}:{receiver.port}/?name=hook",
        "ENCRYPT": f"{VAULT}*=local",
        "RATE_LIMIT_STREAMS": "10/m",
        "LOG_POLL_SECONDS": "2",
        "EXPORT_SECONDS": "1",
        "GRAPHITE_URL": f"graphite://{HOST}:{graphite.port}",
        "DISK_LOW_BYTES": "0",
    }
    folder = disk.folder / "cluster"
    with (
        Ways() as ways,
        running(
            "postgres+redis",
            postgres=postgres,
            redis=mortal_redis,
            nodes=0,
            environment=environment,
            folder=folder,
        ) as cluster,
    ):
        link = ways.link(postgres.port)
        for name in ("DATABASE_URL", "AUDIT_DATABASE_URL"):
            cluster.environment[name] = cluster.environment[name].replace(f":{postgres.port}/", f":{link.port}/")
        node = cluster.add_node()
        prometheus = Prometheus([f"127.0.0.1:{node.port}"])
        try:
            watched = Watched(cluster, prometheus, link, mortal_redis, receiver, graphite, disk)
            yield watched
            watched.graphite.stop()
        finally:
            prometheus.stop()
            receiver.close()


@asynccontextmanager
async def again_and_again(ask: Callable[[], Awaitable[object]], pause: float = 0.02) -> AsyncIterator[None]:
    """Have something asked for all the time, however it is answered."""

    async def go_on() -> None:
        while True:
            with contextlib.suppress(Refused, OSError):
                await ask()
            await asyncio.sleep(pause)

    asking = asyncio.create_task(go_on())
    try:
        yield
    finally:
        asking.cancel()
        await asyncio.gather(asking, return_exceptions=True)


def sql(url: str, statement: str, *values: object) -> None:
    with psycopg.connect(url) as connection:
        connection.execute(statement.encode(), values)


async def outrun(watched: Watched) -> None:
    """Have another process commit, and trim, what a web process has not seen, which stands still meanwhile.

    It may stand still where the other needs it to go on; it is tried again then.
    """
    cluster, node = watched.cluster, watched.cluster.nodes[0]
    other = Process([*MANAGE, "demo", "--rate", "20"], folder=ROOT, environment=node.environment)
    try:
        await grown(cluster, PATIENCE)
        for _ in range(TRIES):
            webs = node.processes("web")
            for web in webs:
                web.send_signal(signal.SIGSTOP)
            try:
                await grown(cluster, STANDSTILL)
                node.manage("log", "trim", "--keep", "1")
                return
            except Late:
                continue
            finally:
                for web in webs:
                    web.send_signal(signal.SIGCONT)
        raise Late("the other process could not commit while the web process stood still")
    finally:
        other.stop(by=signal.SIGINT)


async def grown(cluster: Cluster, within: float) -> None:
    """Wait until there are ten more changes. Raises Late."""
    head = cluster.truth.head() + 10
    await eventually(lambda: cluster.truth.head() >= head, within, f"the log reaches {head}")


async def test_clients_and_receivers_that_do_not_do_as_they_should(watched: Watched) -> None:
    cluster, node = watched.cluster, watched.cluster.nodes[0]
    tree, sealed = cluster.tree(), f"{VAULT}secret"
    main = cluster.truth.main
    await watched.is_quiet()
    with watched.without_graphite():
        await watched.fires("ErlmcpExportsDropped")
    start = cluster.truth.head()
    async with (
        cluster.rest("alice") as alice,
        cluster.rest("bob") as bob,
        stopped(node, "sse", cluster.token("bob"), f"{tree}*", start),
    ):
        for number in range(40):
            await alice.call("resources/write", uri=f"{tree}{number % 3}", text="x" * 200_000)
        created = await alice.call("subscriptions/create", uri=f"{tree}*", **{"from": start + 10})
        await alice.call("resources/write", uri=sealed, content={"secret": 1})
        ((kept,),) = main.rows("SELECT body FROM resources_app_resource WHERE uri = %s", sealed)
        tamper = "UPDATE resources_app_resource SET body = %s WHERE uri = %s"
        key = Path(node.environment["VAR_DIR"]) / "audit_signing_key"
        aside = key.with_name("aside")
        # there may be none yet
        with contextlib.suppress(FileNotFoundError):
            key.rename(aside)
        key.write_bytes(b"no key")
        sql(main.url, tamper, kept[:-1] + bytes([kept[-1] ^ 1]), sealed)
        try:
            with pytest.raises(Refused):
                await alice.call("resources/read", {"Read-Consistency": "strong"}, uri=sealed)
            watched.receiver.answer = lambda posted: Answer(422)
            async with again_and_again(lambda: bob.call("events/poll", subscription="none")):
                await watched.fires(
                    *("ErlmcpFollowersCut", "ErlmcpContentTampered", "ErlmcpSinkDeadLetters", "ErlmcpLimitsRefuse"),
                    "ErlmcpTrailUnsigned",
                )
            # not before: a follower whose events are trimmed is told reset, and not cut
            node.manage("log", "trim", "--keep", str(cluster.truth.head() - start - 10))
            await watched.fires("ErlmcpLogTooShort")
            watched.receiver.answer = lambda posted: Answer(503)
            await alice.call("resources/write", uri=f"{tree}0", content=1)
            node.manage("log", "trim", "--keep", "1")
            await watched.fires("ErlmcpSubscriptionsLost", "ErlmcpSinkLag")
            async with follow(bob, uri="resource://demo.local/*"):
                await outrun(watched)
                await watched.fires("ErlmcpFollowersReset")
        finally:
            # as the runbook says
            watched.receiver.answer = lambda posted: Answer()
            key.unlink()
            with contextlib.suppress(FileNotFoundError):
                aside.rename(key)
            await alice.call("subscriptions/delete", subscription=created["id"])
            sql(main.url, tamper, kept, sealed)
        await watched.is_quiet()


async def test_the_worker_hangs_the_trail_is_bent_and_redis_is_away(watched: Watched) -> None:
    cluster, node = watched.cluster, watched.cluster.nodes[0]
    tree, bend = cluster.tree(), "UPDATE audit_app_auditentry SET hash = %s WHERE sequence = %s"
    await watched.is_quiet()
    async with cluster.rest("alice") as alice, follow(alice, uri="resource://demo.local/*"):
        await eventually(lambda: cluster.truth.waiting_entries() == 0, PATIENCE, "the entries are moved")
        workers = node.processes("worker")
        for worker in workers:
            worker.send_signal(signal.SIGSTOP)
        ((sequence, hash),) = cluster.truth.main.rows("SELECT sequence, hash FROM audit_app_witness")
        sql(cluster.truth.audit.url, bend, "0" * 64, sequence)
        watched.redis.kill()
        # of what another process commits, a node is told over Redis
        others = Process(
            [sys.executable, "manage.py", "demo", "--rate", "5"], folder=ROOT, environment=node.environment
        )
        try:
            # seldom: with a change of its own the node learns of the others', too, and is not late
            async with again_and_again(lambda: alice.call("resources/write", uri=f"{tree}a", content=1), pause=2):
                late = [f"ErlmcpLateDeliveriesBurn{speed}" for speed in BURNS]
                away = ["ErlmcpNodeDegraded", "ErlmcpBreakerOpen"]
                await watched.fires("ErlmcpAuditLag", "ErlmcpTrailBent", *late, *away)
        finally:
            others.stop(by=signal.SIGINT)
            watched.redis.start_again()
            sql(cluster.truth.audit.url, bend, hash, sequence)
            for worker in workers:
                worker.send_signal(signal.SIGCONT)
        watched.disk.fill()
        try:
            await watched.fires("ErlmcpDiskFilling", "ErlmcpDiskFull")
        finally:
            watched.disk.free()
        await watched.is_quiet()


async def test_the_database_is_away_and_then_the_node_as_well(watched: Watched) -> None:
    cluster, node = watched.cluster, watched.cluster.nodes[0]
    await watched.is_quiet()
    environment = {**node.environment, "TOKEN": cluster.token("admin")}
    top = Process([*MANAGE, "top", "--json", "--interval", "0.5"], folder=ROOT, environment=environment)
    await eventually(lambda: top.lines, PATIENCE, "top shows the node")
    async with cluster.rest("alice") as alice:
        await alice.call("subscriptions/list")
        with psycopg.connect(cluster.truth.main.url) as other:
            other.execute("LOCK TABLE audit_app_outboxentry IN EXCLUSIVE MODE")
            async with AsyncExitStack() as crowd:
                for _ in range(40):
                    await crowd.enter_async_context(again_and_again(lambda: alice.call("subscriptions/list")))
                await watched.fires("ErlmcpWriterQueue")
                other.commit()
        watched.database.cut()
        try:
            async with again_and_again(lambda: alice.call("subscriptions/list"), pause=0.1):
                failed = [f"ErlmcpErrorsBurn{speed}" for speed in BURNS]
                await watched.fires(*failed, "ErlmcpNodeNotReady", "ErlmcpBreakerOpen")
            node.stop()
            await watched.fires("ErlmcpNodeAbsent", "ErlmcpAbsent")
            await eventually(lambda: "no answer for" in top.lines[-1], PATIENCE, "top says that it is away")
        finally:
            watched.database.heal()
        await asyncio.to_thread(node.start)
        await eventually(lambda: "figures" in json.loads(top.lines[-1]), PATIENCE, "top shows it again")
        assert top.stop(by=signal.SIGINT) == 0
        await watched.is_quiet()
