"""What Graphite and collectors of OpenTelemetry are sent, also while they are away."""

import dataclasses
import pickle
import struct
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import pytest
from prometheus_client import REGISTRY
from prometheus_client.core import Exemplar

from telemetry_app.collectors import Collector as At
from telemetry_app.exporters.configuration import BadReceiver, Graphite, parse_graphite
from telemetry_app.exporters.exporter import Exporter, PointsRejected, ReceiverAway
from telemetry_app.exporters.graphite import GraphiteExporter
from telemetry_app.exporters.otlp import OtlpExporter
from telemetry_app.exporters.shipper import MAX_BATCHES, Shipper
from telemetry_app.otlp import METRICS, sender_of
from telemetry_app.state import Key, State
from tests.stack.missing import missing
from tests.stack.otlp import Collector, attributes
from tests.stack.processes import free_port
from tests.stack.receivers import CARBON, BlackHole, Carbon, Lines
from tests.stack.waiting import PATIENCE, wait_until

AT = 1_700_000_000.0

READ = (("transport", "rest"), ("method", "resources/read"))
READS: Key = ("erlmcp_requests_total", (*READ, ("outcome", "success")))
LAG: Key = ("erlmcp_audit_lag_seconds", (("queue", "data"),))
TIMED = (*READ, ("stage", "total"))


def bucket(le: str) -> Key:
    return ("erlmcp_request_seconds_bucket", (*TIMED, ("le", le)))


STATE = State(
    AT,
    {
        READS: 42.0,
        LAG: 1.5,
        bucket("0.01"): 30.0,
        bucket("0.1"): 40.0,
        bucket("+Inf"): 42.0,
        ("erlmcp_request_seconds_count", TIMED): 42.0,
        ("erlmcp_request_seconds_sum", TIMED): 0.9,
    },
    rates={bucket("0.01"): 1.0, bucket("0.1"): 2.0, bucket("+Inf"): 2.0},
    exemplars={bucket("0.1"): Exemplar({"trace_id": "ab" * 16}, 0.05, AT - 1)},
    since=AT - 100,
)


# -- Graphite


def test_a_url_says_where_graphite_is_and_how_it_is_told():
    assert parse_graphite("graphite://carbon", "web-1.example") == Graphite(
        host="carbon", port=2003, protocol="plaintext", prefix="erlmcp.web-1_example", has_tags=False
    )
    assert parse_graphite("graphite+pickle://[::1]?prefix=a.b&tags=1", "n") == Graphite(
        host="::1", port=2004, protocol="pickle", prefix="a.b", has_tags=True
    )
    assert parse_graphite("10.0.0.7:2103", "n").port == 2103
    assert parse_graphite("tcp://h:1", "n").protocol == "plaintext"


@pytest.mark.parametrize(
    "url",
    ["udp://h", "graphite://", "graphite://h:x", "graphite://h/path", "graphite://u:secret@h", "graphite://h?prefix=a..b",
     "graphite://h?tags=2", "graphite://h?colour=red"],
)  # fmt: skip
def test_what_names_no_graphite_is_refused_and_not_shown(url: str):
    with pytest.raises(BadReceiver) as bad:
        parse_graphite(url, "n")
    assert "secret" not in str(bad.value)


PATHS = {
    "erlmcp.n.requests_total.rest.resources_read.success": 42.0,
    "erlmcp.n.audit_lag_seconds.data": 1.5,
    "erlmcp.n.request_seconds_count.rest.resources_read.total": 42.0,
    "erlmcp.n.request_seconds_sum.rest.resources_read.total": 0.9,
    "erlmcp.n.request_seconds.rest.resources_read.total.p50": 0.01,
    "erlmcp.n.request_seconds.rest.resources_read.total.p95": pytest.approx(0.091),
    "erlmcp.n.request_seconds.rest.resources_read.total.p99": pytest.approx(0.0982),
}


def lines(received: bytes) -> list[tuple[str, float, int]]:
    whole = received.decode().rpartition("\n")[0]
    return [(path, float(value), int(at)) for path, value, at in (line.split(" ") for line in whole.splitlines())]


def pickles(received: bytes) -> list[tuple[str, float, int]]:
    points = []
    while len(received) >= 4 and len(received) >= 4 + struct.unpack("!L", received[:4])[0]:
        end = 4 + struct.unpack("!L", received[:4])[0]
        points += [(path, value, at) for path, (at, value) in pickle.loads(received[4:end])]  # our own
        received = received[end:]
    return points


@pytest.mark.parametrize(("scheme", "decode"), [("graphite", lines), ("graphite+pickle", pickles)])
def test_graphite_gets_dotted_paths(scheme: str, decode: Callable[[bytes], list[tuple[str, float, int]]]):
    carbon = Lines(decode)
    exporter = GraphiteExporter(parse_graphite(f"{scheme}://127.0.0.1:{carbon.port}", "n"), "n")
    exporter.export(STATE)
    wait_until(lambda: len(carbon.points()) == len(PATHS), PATIENCE, "every point has come")
    assert {path: value for path, value, _ in carbon.points()} == PATHS
    assert {at for _, _, at in carbon.points()} == {int(AT)}
    assert exporter.points(STATE) == len(PATHS)
    exporter.close()
    carbon.stop()


def test_graphite_gets_tags_where_it_shall():
    target = parse_graphite("graphite://h?tags=1", "n")
    paths = [path for path, _ in GraphiteExporter(target, "my node").named_points(STATE)]
    assert paths[0] == "erlmcp_requests_total;node=my_node;transport=rest;method=resources/read;outcome=success"
    assert (
        "erlmcp_request_seconds;node=my_node;transport=rest;method=resources/read;stage=total;percentile=p50" in paths
    )


def test_a_connection_that_carbon_has_ended_is_made_anew():
    port = free_port()
    first = Lines(lines, port)
    exporter = GraphiteExporter(parse_graphite(f"graphite://127.0.0.1:{port}", "n"), "n")
    exporter.export(STATE)
    wait_until(lambda: len(first.points()) == len(PATHS), PATIENCE, "every point has come")
    first.stop()
    with pytest.raises(ReceiverAway):
        # whether the end of the connection has been seen by now or not
        for _ in range(100):
            exporter.export(STATE)
    second = Lines(lines, port)
    exporter.export(STATE)
    wait_until(lambda: len(second.points()) == len(PATHS), PATIENCE, "every point has come")
    exporter.close()
    second.stop()


# -- OpenTelemetry


@pytest.fixture(scope="module")
def collector() -> Iterator[Collector]:
    collector = Collector()
    yield collector
    collector.stop()


@pytest.fixture(params=["grpc", "http/protobuf"])
def otlp(request: pytest.FixtureRequest, collector: Collector) -> Iterator[OtlpExporter]:
    collector.metrics.clear()
    collector.answers = 200
    url = collector.grpc_url if request.param == "grpc" else f"{collector.http_url}/v1/metrics"
    told = At(url=url, protocol=request.param, headers={"x-tenant": "seven"}, seconds=PATIENCE)
    connect = partial(sender_of, METRICS, told)
    exporter = OtlpExporter(connect, {"service.name": "erlmcp", "service.instance.id": "n"})
    yield exporter
    exporter.close()


def test_a_collector_gets_cumulative_sums_gauges_and_histograms(otlp: OtlpExporter, collector: Collector):
    otlp.export(STATE)
    resource = collector.metrics[0].resource_metrics[0].resource
    assert attributes(resource.attributes) == {"service.name": "erlmcp", "service.instance.id": "n"}
    assert collector.headers["x-tenant"] == "seven"
    metrics = collector.found_metrics()

    requests = metrics["erlmcp_requests_total"].sum
    assert requests.is_monotonic and requests.aggregation_temporality == 2
    point = requests.data_points[0]
    assert attributes(point.attributes) == dict(READS[1])
    assert (point.as_double, point.start_time_unix_nano, point.time_unix_nano) == (42.0, (AT - 100) * 1e9, AT * 1e9)

    assert metrics["erlmcp_audit_lag_seconds"].unit == "s"
    assert metrics["erlmcp_audit_lag_seconds"].gauge.data_points[0].as_double == 1.5

    timed = metrics["erlmcp_request_seconds"].histogram
    assert timed.aggregation_temporality == 2
    bars = timed.data_points[0]
    assert list(bars.explicit_bounds) == [0.01, 0.1]
    assert list(bars.bucket_counts) == [30, 10, 2]
    assert (bars.count, bars.sum) == (42, 0.9)
    assert [exemplar.trace_id.hex() for exemplar in bars.exemplars] == ["ab" * 16]
    assert otlp.points(STATE) == 3


def test_a_collector_that_is_away_for_now_is_told_again(otlp: OtlpExporter, collector: Collector):
    collector.answers = 503
    with pytest.raises(ReceiverAway):
        otlp.export(STATE)
    collector.answers = 200
    otlp.export(STATE)
    assert len(collector.metrics) == 1


def test_what_a_collector_does_not_want_is_given_up(collector: Collector):
    collector.answers = 400
    told = At(url=f"{collector.http_url}/v1/metrics", headers={}, seconds=PATIENCE)
    exporter = OtlpExporter(partial(sender_of, METRICS, told), {})
    with pytest.raises(PointsRejected) as rejected:
        exporter.export(STATE)
    assert rejected.value.points == 3
    exporter.close()


# -- the thread of each


class Hanging:
    """A receiver that takes nothing until it is told to, and fails as it is told to."""

    name = "hanging"

    def __init__(self) -> None:
        self.taken: list[State] = []
        self.failure: Exception | None = None
        self.tries = 0

    def points(self, state: State) -> int:
        return len(state.samples)

    def export(self, state: State) -> None:
        self.tries += 1
        if self.failure is not None:
            raise self.failure
        self.taken.append(state)

    def close(self) -> None:
        return


def counted(name: str, exporter: str = "hanging") -> float:
    return REGISTRY.get_sample_value(f"erlmcp_export_{name}", {"exporter": exporter}) or 0.0


def numbered(number: int) -> State:
    return State(AT + number, {READS: float(number), LAG: 0.0})


@pytest.fixture
def shipped() -> Iterator[Callable[[Exporter], Shipper]]:
    started: list[Shipper] = []

    def ship(exporter: Exporter) -> Shipper:
        started.append(Shipper(exporter))
        started[-1].start()
        return started[-1]

    yield ship
    for shipper in started:
        shipper.stop()


def test_while_a_receiver_is_away_a_few_states_wait_and_the_oldest_are_dropped_and_counted(
    shipped: Callable[[Exporter], Shipper],
):
    receiver, dropped, delivered = Hanging(), counted("dropped_points_total"), counted("points_total")
    receiver.failure = ReceiverAway("gone")
    shipper = shipped(receiver)
    for number in range(MAX_BATCHES + 4):
        shipper.put(numbered(number))
    assert counted("pending") == MAX_BATCHES
    assert counted("dropped_points_total") - dropped == 4 * 2
    wait_until(lambda: receiver.tries, PATIENCE, "it was tried")
    receiver.failure = None
    wait_until(lambda: len(receiver.taken) == MAX_BATCHES, PATIENCE, "what waits is taken")
    assert [state.samples[READS] for state in receiver.taken] == [float(number) for number in range(4, 10)]
    wait_until(lambda: counted("pending") == 0, PATIENCE, "nothing waits")
    assert counted("points_total") - delivered == MAX_BATCHES * 2


def test_an_error_of_its_own_ends_no_exporter(shipped: Callable[[Exporter], Shipper]):
    receiver, restarts = Hanging(), counted("restarts_total")
    receiver.failure = KeyError("a mistake of ours")
    shipper = shipped(receiver)
    shipper.put(numbered(1))
    wait_until(lambda: counted("restarts_total") > restarts, PATIENCE, "it was counted")
    receiver.failure = None
    wait_until(lambda: receiver.taken, PATIENCE, "it goes on")


def test_points_that_are_refused_hold_nobody_up(shipped: Callable[[Exporter], Shipper]):
    receiver, dropped = Hanging(), counted("dropped_points_total")
    receiver.failure = PointsRejected("no", 2)
    shipper = shipped(receiver)
    shipper.put(numbered(1))
    wait_until(lambda: counted("dropped_points_total") - dropped == 2, PATIENCE, "they were given up")
    receiver.failure = None
    shipper.put(numbered(2))
    wait_until(lambda: receiver.taken, PATIENCE, "the next are taken")
    assert [state.samples[READS] for state in receiver.taken] == [2.0]


def test_whoever_hands_over_waits_for_no_receiver(shipped: Callable[[Exporter], Shipper]):
    hole, dropped = BlackHole(), counted("dropped_points_total", "graphite")
    # more than what the system takes in the name of somebody who does not read
    codes = [f"{number:0>300}" for number in range(40_000)]
    wide = State(AT, {("erlmcp_errors_total", (("category", "fatal"), ("code", code))): 1.0 for code in codes})
    shipper = shipped(GraphiteExporter(parse_graphite(f"graphite://127.0.0.1:{hole.port}", "n"), "n"))
    shipper.put(wide)
    wait_until(lambda: hole.taken, PATIENCE, "it has connected")
    for number in range(MAX_BATCHES * 2):
        shipper.put(numbered(number))
    assert counted("pending", "graphite") == MAX_BATCHES
    assert counted("dropped_points_total", "graphite") - dropped == len(codes) + MAX_BATCHES * 2
    hole.stop()


# -- real ones


def test_carbon_keeps_what_comes_as_text_and_pickled(tmp_path: Path):
    if CARBON is None:
        missing("carbon-cache (Debian: graphite-carbon)")
    carbon = Carbon(tmp_path)
    carbon.start()
    try:
        for scheme, port in (("graphite", carbon.plaintext), ("graphite+pickle", carbon.pickle)):
            prefix = scheme.replace("+", "_")
            url = f"{scheme}://127.0.0.1:{port}?prefix={prefix}"
            exporter = GraphiteExporter(parse_graphite(url, "n"), "n")
            paths = {path.replace("erlmcp.n", prefix): value for path, value in PATHS.items()}
            wait_until(partial(kept_by, carbon, exporter, paths), PATIENCE * 3, f"{scheme}: every path is kept")
            first, *_, last = paths
            for path in (first, last):
                assert carbon.values(path)[-1] == paths[path]
            exporter.close()
    finally:
        carbon.stop()


def kept_by(carbon: Carbon, exporter: GraphiteExporter, paths: dict[str, object]) -> bool:
    """Send once more, as a node does, and see whether carbon has every path, and values of the first and the last."""
    exporter.export(dataclasses.replace(STATE, at=time.time()))
    first, *_, last = paths
    return paths.keys() <= set(carbon.paths()) and bool(carbon.values(first)) and bool(carbon.values(last))
