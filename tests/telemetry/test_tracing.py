"""What is kept is sent to a collector, over gRPC and HTTP, and read back there; one that is away costs nothing."""

import os
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from prometheus_client import REGISTRY
from pytest_django import Settings

from telemetry_app.collectors import Collector as At
from telemetry_app.otlp import TRACES, sender_of
from telemetry_app.tracing.context import SAMPLED, TraceContext, continued
from telemetry_app.tracing.exporter import Exporter
from telemetry_app.tracing.spans import Kind, Span
from telemetry_app.tracing.tracer import Tracer
from tests.stack.otlp import Collector, attributes
from tests.stack.waiting import PATIENCE, wait_until

ROOT = Path(__file__).resolve().parents[2]
PARENT = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"


@pytest.fixture
def collector() -> Iterator[Collector]:
    made = Collector()
    yield made
    made.stop()


@pytest.fixture
def black_hole() -> Iterator[str]:
    """The URL of somebody who takes connections and says nothing."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield f"http://127.0.0.1:{server.getsockname()[1]}"


@pytest.fixture(params=["grpc", "http/protobuf"])
def protocol(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    return name


def url_of(collector: Collector, protocol: str) -> str:
    return collector.grpc_url if protocol == "grpc" else f"{collector.http_url}/v1/traces"


def exporter_to(
    endpoint: str, protocol: str, *, room: int = 100, seconds: float = 0.02, patience: float = 10
) -> Exporter:
    told = At(url=endpoint, protocol=protocol, headers={"Authorization": "Bearer t"}, seconds=patience)
    return Exporter(
        lambda: sender_of(TRACES, told),
        lambda: {"service.name": "tests"},
        room=room,
        seconds=seconds,
    )


def span(trace: TraceContext | None = None, name: str = "a", **fields: Any) -> Span:
    return Span(trace=trace or continued(PARENT), name=name, kind=Kind.SERVER, start=1, end=3, **fields)


def spans_of(result: str) -> float:
    return REGISTRY.get_sample_value("erlmcp_spans_total", {"result": result}) or 0.0


def test_a_collector_is_told_everything_of_a_span(collector: Collector, protocol: str) -> None:
    trace, other = continued(PARENT, "a=1"), continued(PARENT)
    made = span(
        trace,
        attributes={"text": "b", "number": 7, "share": 0.5, "nothing": ""},
        links=[other],
        error="internal_error",
        has_remote_parent=True,
    )
    exporter = exporter_to(url_of(collector, protocol), protocol)
    exporter.hand(made)
    wait_until(collector.found_spans, PATIENCE, "a span")
    exporter.stop(PATIENCE)
    (found,) = collector.found_spans()
    assert found.trace_id.hex() == trace.trace_id
    assert (found.span_id.hex(), found.parent_span_id.hex()) == (trace.span_id, PARENT[36:52])
    assert (found.name, found.kind, found.trace_state) == ("a", 2, "a=1")
    assert (found.start_time_unix_nano, found.end_time_unix_nano, found.flags) == (1, 3, 0x301)
    assert attributes(found.attributes) == {"text": "b", "number": 7, "share": 0.5}
    assert [(link.trace_id.hex(), link.span_id.hex()) for link in found.links] == [(other.trace_id, other.span_id)]
    assert (found.status.code, found.status.message) == (2, "internal_error")
    (resource,) = collector.traces[0].resource_spans
    assert attributes(resource.resource.attributes) == {"service.name": "tests"}
    assert collector.headers["authorization"] == "Bearer t"


def test_what_waits_is_sent_at_the_end_and_what_comes_later_begins_again(collector: Collector, protocol: str) -> None:
    exporter = exporter_to(url_of(collector, protocol), protocol, seconds=600)
    for round_ in (1, 2):
        for _ in range(50):
            exporter.hand(span())
        exporter.stop(PATIENCE)
        assert len(collector.found_spans()) == 50 * round_


def test_a_queue_that_is_half_full_is_sent_at_once(collector: Collector, protocol: str) -> None:
    exporter = exporter_to(url_of(collector, protocol), protocol, room=10, seconds=600)
    for _ in range(6):
        exporter.hand(span())
    wait_until(lambda: len(collector.found_spans()) == 6, PATIENCE, "six spans")
    exporter.stop(PATIENCE)


def test_a_collector_that_is_away_gets_what_waited_when_it_is_back(
    collector: Collector, protocol: str, caplog: pytest.LogCaptureFixture
) -> None:
    collector.answers = 503
    exporter = exporter_to(url_of(collector, protocol), protocol)
    exporter.hand(span(name="first"))
    wait_until(lambda: "traces wait" in caplog.text, PATIENCE, "a word of it")
    exporter.hand(span(name="second"))
    collector.answers = 200
    wait_until(lambda: len(collector.found_spans()) == 2, PATIENCE, "both")
    exporter.stop(PATIENCE)
    assert [found.name for found in collector.found_spans()] == ["first", "second"]
    assert len([record for record in caplog.records if "traces wait" in record.message]) == 1
    assert "takes traces again" in caplog.text


def test_one_that_answers_nothing_takes_no_more_memory_than_the_queue_and_nobody_waits_for_it(
    black_hole: str, protocol: str
) -> None:
    exporter = exporter_to(black_hole, protocol, room=100, seconds=600, patience=0.2)
    dropped = spans_of("dropped")
    for _ in range(1000):
        exporter.hand(span())
    # those that the thread may have taken are a request's worth
    assert spans_of("dropped") - dropped >= 1000 - 100 - 64
    assert len(exporter._waiting) <= 100
    exporter.stop(PATIENCE)
    assert spans_of("dropped") - dropped == 1000


@pytest.mark.parametrize("status", [400, 401, 404, 500])
def test_what_a_collector_will_never_take_is_not_sent_again(collector: Collector, status: int) -> None:
    collector.answers = status
    refused = spans_of("refused")
    exporter = exporter_to(url_of(collector, "http/protobuf"), "http/protobuf")
    exporter.hand(span())
    wait_until(lambda: spans_of("refused") == refused + 1, PATIENCE, "a refusal")
    collector.answers = 200
    exporter.hand(span(name="next"))
    wait_until(collector.found_spans, PATIENCE, "the next")
    exporter.stop(PATIENCE)
    assert [found.name for found in collector.found_spans()] == ["next"]


def test_a_span_that_cannot_be_written_costs_its_neighbours_only(collector: Collector) -> None:
    exporter = exporter_to(url_of(collector, "http/protobuf"), "http/protobuf")
    dropped = spans_of("dropped")
    exporter.hand(span(TraceContext("no trace", "no span")))
    wait_until(lambda: spans_of("dropped") == dropped + 1, PATIENCE, "the loss")
    exporter.hand(span(name="next"))
    wait_until(collector.found_spans, PATIENCE, "the next")
    exporter.stop(PATIENCE)
    assert [found.name for found in collector.found_spans()] == ["next"]


FORKING = """
import os, sys, django
django.setup()
from telemetry_app.tracing.context import continued
from telemetry_app.tracing.spans import Kind, Span
from telemetry_app.tracing.tracer import tracer

def hand(name):
    tracer.hand(Span(trace=continued(None), name=name, kind=Kind.SERVER, start=1, end=2))

hand("before")
tracer.stop()
hand("of the parent")
child = os.fork()
if not child:
    hand("of the child")
    tracer.stop()
    os._exit(0)
sys.exit(os.waitpid(child, 0)[1])
"""


def test_a_process_that_is_forked_off_sends_its_own_and_nothing_of_its_parent(
    collector: Collector, tmp_path: Path
) -> None:
    told = {
        "DJANGO_SETTINGS_MODULE": "erlmcp_site.settings",
        "VAR_DIR": str(tmp_path),
        "PATH": os.environ["PATH"],
        "OTEL_EXPORTER_OTLP_ENDPOINT": collector.http_url,
        "OTEL_BSP_SCHEDULE_DELAY": "600000",
        "OTEL_SERVICE_NAME": "forking",
        "OTEL_RESOURCE_ATTRIBUTES": "deployment.environment.name=tests",
    }
    # what waits at the end of a process is sent then
    subprocess.run([sys.executable, "-c", FORKING], cwd=ROOT, env=told, check=True, timeout=60)
    assert [found.name for found in collector.found_spans()] == ["before", "of the child", "of the parent"]
    resources = [attributes(one.resource_spans[0].resource.attributes) for one in collector.traces]
    first, child, last = (resource["service.instance.id"] for resource in resources)
    assert first == last != child
    assert {resource["service.name"] for resource in resources} == {"forking"}
    assert {resource["deployment.environment.name"] for resource in resources} == {"tests"}


def test_without_a_collector_nothing_is_kept_and_no_thread_begins(settings: Settings) -> None:
    before = set(threading.enumerate())
    for off in ({"OTEL_EXPORTER_OTLP_ENDPOINT": ""}, {"OTEL_TRACES_EXPORTER": "none"}):
        tracer = started(settings, **{"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:1", **off})
        assert not tracer.is_on
        assert not tracer.keeps(continued(PARENT), 100.0, has_failed=True)
        tracer.hand(span())
        assert "traces" not in {thread.name for thread in set(threading.enumerate()) - before}


@pytest.mark.parametrize(
    ("flags", "seconds", "has_failed", "is_kept"),
    [(0, 0.1, False, False), (SAMPLED, 0.1, False, True), (0, 0.1, True, True), (0, 2.5, False, True)],
)
def test_of_what_is_not_sampled_the_failed_and_the_slow_are_kept(
    settings: Settings, flags: int, seconds: float, has_failed: bool, is_kept: bool
) -> None:
    settings.TRACES_SLOW_SECONDS = 2.0
    tracer = started(settings, OTEL_EXPORTER_OTLP_ENDPOINT="http://127.0.0.1:1")
    trace = TraceContext("a" * 32, "b" * 16, flags=flags)
    assert tracer.keeps(trace, seconds, has_failed=has_failed) is is_kept


def started(settings: Settings, **values: Any) -> Tracer:
    for name, value in values.items():
        setattr(settings, name, value)
    tracer = Tracer()
    tracer.start()
    return tracer
