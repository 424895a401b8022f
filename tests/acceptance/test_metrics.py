"""Metrics of a node with two web processes, as Prometheus, Graphite and a collector of OpenTelemetry have them."""

import asyncio
import signal
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from io import StringIO
from pathlib import Path

import psutil
import pytest
from django.core.management import CommandError, call_command

from tests.stack.cluster import Cluster, running
from tests.stack.missing import missing
from tests.stack.otlp import Collector, instances
from tests.stack.postgres_server import PostgresServer
from tests.stack.receivers import CARBON, PROMETHEUS, BlackHole, Carbon, Prometheus
from tests.stack.redis_server import RedisServer
from tests.stack.waiting import PATIENCE, eventually, wait_until

READS = 'erlmcp_requests_total{method="resources/read",transport="rest",outcome="success"}'


@pytest.fixture(scope="module")
def receivers() -> None:
    """What the machine has to have."""
    if PROMETHEUS is None or CARBON is None:
        missing("prometheus and carbon-cache (Debian: prometheus, graphite-carbon)")


@dataclass
class Watched:
    """A node, and who is told of it."""

    cluster: Cluster
    prometheus: Prometheus
    carbon: Carbon
    collector: Collector


@pytest.fixture(scope="module")
def watched(
    postgres: PostgresServer, redis: RedisServer, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Watched]:
    folder = tmp_path_factory.mktemp("receivers")
    carbon, collector = Carbon(folder / "carbon"), Collector()
    carbon.start()
    environment = {
        "WEB_WORKERS": "2",
        "PROFILING": "1",
        "NODE_NAME": "n",
        "EXPORT_SECONDS": "1",
        "GRAPHITE_URL": f"graphite://127.0.0.1:{carbon.plaintext}",
        "OTEL_EXPORTER_OTLP_ENDPOINT": collector.grpc_url,
        "OTEL_EXPORTER_OTLP_PROTOCOL": "grpc",
    }
    with running("postgres+redis", postgres=postgres, redis=redis, environment=environment) as cluster:
        prometheus = Prometheus(folder, {"erlmcp": f"127.0.0.1:{cluster.nodes[0].port}"})
        yield Watched(cluster, prometheus, carbon, collector)
        prometheus.stop()
    carbon.stop()
    collector.stop()


@pytest.mark.usefixtures("receivers")
async def test_every_receiver_is_told_the_sums_of_both_web_processes_also_when_one_was_killed(watched: Watched):
    node, prometheus = watched.cluster.nodes[0], watched.prometheus
    uri = f"{watched.cluster.tree()}watched"
    async with watched.cluster.rest("alice") as rest:
        await rest.call("resources/create", uri=uri, content={"n": 1})

    async def read(times: int) -> None:
        # connections of their own, which the kernel spreads over the processes
        for _ in range(times):
            async with watched.cluster.rest("alice") as other:
                await other.call("resources/read", uri=uri)

    await read(20)
    await asyncio.to_thread(wait_until, lambda: prometheus.value(READS) == 20, PATIENCE, "Prometheus has all reads")
    victim = node.web_processes()[0]
    victim.send_signal(signal.SIGKILL)
    await asyncio.to_thread(wait_until, lambda: len(node.web_processes()) == 2, PATIENCE, "both are there again")
    await asyncio.to_thread(wait_until, node.is_ready, PATIENCE, "it serves")
    await read(10)
    await asyncio.to_thread(wait_until, lambda: prometheus.value(READS) == 30, PATIENCE, "Prometheus has all reads")
    assert prometheus.value(f"sum(resets({READS}[1h]))") == 0
    assert prometheus.value('erlmcp_processes{process="worker"}') == 1

    path = "erlmcp.n.requests_total.rest.resources_read.success"
    await asyncio.to_thread(wait_until, lambda: 30.0 in watched.carbon.values(path), PATIENCE, "Graphite has them")
    await asyncio.to_thread(wait_until, lambda: told(watched.collector) == 30, PATIENCE, "the collector has them")
    metrics = watched.collector.found_metrics()
    assert {"erlmcp_sessions", "erlmcp_audit_lag_seconds", "erlmcp_commit_seconds", "erlmcp_log_head"} <= set(metrics)
    assert len(metrics["erlmcp_commit_seconds"].histogram.data_points[0].bucket_counts) > 1


@pytest.mark.usefixtures("receivers")
async def test_after_a_kill_the_next_process_sends_traces_and_metrics_and_no_sum_falls(watched: Watched):
    node, collector = watched.cluster.nodes[0], watched.collector
    trace = {"traceparent": f"00-{'7' * 32}-00f067aa0ba902b7-01"}

    async def list_until(is_told: Callable[[], object], what: str) -> None:
        async def list_once() -> object:
            # a connection of its own may come to the other process
            async with watched.cluster.rest("alice") as other:
                await other.call("resources/list", trace)
            return is_told()

        await eventually(list_once, PATIENCE, what)

    def senders() -> set[str]:
        return instances(collector, "resources/list")

    await list_until(lambda: len(senders()) == 2, "both web processes send what they keep")
    before = senders()
    turn = Path(node.environment["VAR_DIR"]) / "sending.lock"
    for victim in {node.web_processes()[0], psutil.Process(holder(turn))}:
        victim.send_signal(signal.SIGKILL)
    await asyncio.to_thread(wait_until, lambda: len(node.web_processes()) == 2, PATIENCE, "both are there again")
    await list_until(lambda: senders() - before, "the next one sends what it keeps")
    reads, requests = told(collector), len(collector.metrics)
    await asyncio.to_thread(wait_until, lambda: len(collector.metrics) > requests + 1, PATIENCE, "metrics are sent")
    assert told(collector) >= reads
    counts = [told(collector, number) for number in range(len(collector.metrics))]
    assert counts == sorted(counts), "a sum has fallen"


def holder(lock: Path) -> int:
    """The process that holds a lock, by the system's table of them (proc_locks(5))."""
    inode = f":{lock.stat().st_ino}"
    lines = [line.split() for line in Path("/proc/locks").read_text().splitlines()]
    return next(int(line[4]) for line in lines if line[5].endswith(inode))


def told(collector: Collector, number: int = -1) -> float:
    """How many reads the collector was told of at last, or by another of the requests."""
    requests = collector.found_metrics(number).get("erlmcp_requests_total")
    points = requests.sum.data_points if requests is not None else ()
    wanted = {("method", "resources/read"), ("outcome", "success")}
    counts: Iterator[float] = (
        point.as_double
        for point in points
        if wanted <= {(pair.key, pair.value.string_value) for pair in point.attributes}
    )
    return sum(counts)


@pytest.mark.usefixtures("receivers")
async def test_a_traced_request_is_an_exemplar_of_how_long_it_took(watched: Watched):
    trace_id = "4bf92f3577b34da6a3ce929d0e0e4736"
    async with watched.cluster.rest("alice") as rest:
        headers = {"traceparent": f"00-{trace_id}-00f067aa0ba902b7-01"}
        answer = await rest.http.get("/api/v1/resources", headers=headers)
        assert answer.status_code == 200
    query = 'erlmcp_request_seconds_bucket{method="resources/list",stage="total"}'

    def found() -> bool:
        return trace_id in {example["labels"]["trace_id"] for example in watched.prometheus.exemplars(query)}

    await asyncio.to_thread(wait_until, found, PATIENCE, "Prometheus has the exemplar")


@pytest.mark.usefixtures("receivers")
async def test_each_process_of_the_node_can_be_profiled(watched: Watched, monkeypatch: pytest.MonkeyPatch):
    node = watched.cluster.nodes[0]
    monkeypatch.setenv("ERLMCP_TOKEN", watched.cluster.token("admin"))

    def is_taken(pid: int) -> bool:
        told = StringIO()
        try:
            call_command("profile", "--url", node.base, "--seconds", "0.1", "--pid", str(pid), stdout=told, stderr=told)
        except CommandError as error:
            # the kernel may have given all connections to the other one
            assert "these do" in str(error)
        return f"process {pid}," in told.getvalue()

    for process in node.web_processes():
        taking = partial(is_taken, process.pid)
        await asyncio.to_thread(wait_until, taking, PATIENCE, "the process has answered")


async def test_receivers_that_never_read_hold_nothing_up(tmp_path: Path):
    hole = BlackHole()
    environment = {
        "EXPORT_SECONDS": "1",
        "GRAPHITE_URL": f"graphite://127.0.0.1:{hole.port}",
        "OTEL_EXPORTER_OTLP_ENDPOINT": f"http://127.0.0.1:{hole.port}",
    }
    with running("sqlite", environment=environment) as cluster:
        async with cluster.rest("alice") as rest:
            await asyncio.to_thread(wait_until, lambda: hole.taken, PATIENCE, "it was tried")
            for _ in range(50):
                assert (await rest.http.get("/api/v1/resources")).status_code == 200
            text = (await rest.http.get("/metrics")).text
            assert 'erlmcp_export_pending{exporter="otlp"}' in text
        assert cluster.nodes[0].stop() == 0
    hole.stop()
