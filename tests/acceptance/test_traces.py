"""A node that traces, as its collector sees it: every transport, its worker, and what waits when it ends."""

import asyncio
from collections.abc import Iterator

import pytest
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from tests.stack.cluster import Cluster, running
from tests.stack.otlp import Collector, attributes, instances
from tests.stack.refusals import refuses
from tests.stack.sse import follow
from tests.stack.waiting import PATIENCE, eventually

CALLERS = {"rest": "1" * 32, "websocket": "2" * 32, "grpc": "3" * 32, "sse": "4" * 32}
SPAN = "00f067aa0ba902b7"
TASK = "process audit_app.tasks.move_outbox"

OF_TRANSPORTS = {
    "rest": {
        "http.request.method": "PUT",
        "http.route": "/api/v1/resources/{authority}/{path}",
        "http.response.status_code": 201,
    },
    "sse": {
        "http.request.method": "GET",
        "http.route": "/api/v1/events/stream",
        "http.response.status_code": 200,
    },
    "websocket": {"rpc.system.name": "jsonrpc", "rpc.method": "resources/write"},
    "grpc": {
        "rpc.system.name": "grpc",
        "rpc.method": "erlmcp.v1.Resources/Write",
        "rpc.response.status_code": "OK",
    },
}
REFUSED = {"5" * 32: ("/api/v1/resources/a.org/none", 404), "6" * 32: ("/api/v1/nothing", 404)}
"""What REST is asked for in these traces, and the status that it answers."""


def told(transport: str) -> dict[str, str]:
    return {"traceparent": f"00-{CALLERS[transport]}-{SPAN}-01"}


@pytest.fixture
def collector() -> Iterator[Collector]:
    made = Collector()
    yield made
    made.stop()


@pytest.fixture
def tracing(collector: Collector) -> Iterator[Cluster]:
    """One node whose processes send what they keep over gRPC, and nothing before they end."""
    environment = {
        "OTEL_EXPORTER_OTLP_ENDPOINT": collector.grpc_url,
        "OTEL_EXPORTER_OTLP_PROTOCOL": "grpc",
        "OTEL_EXPORTER_OTLP_HEADERS": "authorization=Bearer%20t",
        "OTEL_METRICS_EXPORTER": "none",
        "OTEL_TRACES_SAMPLER_ARG": "1",
        "OTEL_BSP_SCHEDULE_DELAY": "600000",
        "OTEL_BSP_MAX_QUEUE_SIZE": "100000",
    }
    with running("sqlite", environment=environment) as cluster:
        yield cluster


async def test_what_it_did_is_told_by_the_time_it_has_ended(tracing: Cluster, collector: Collector) -> None:
    uri = f"{tracing.tree()}a"
    names = {}
    async with (
        tracing.rest("alice") as rest,
        await tracing.socket("alice") as socket,
        tracing.grpc("alice") as grpc,
        follow(rest, told("sse"), uri=uri.removesuffix("a") + "*") as stream,
    ):
        names["rest"] = (await rest.call("resources/write", told("rest"), uri=uri, content=1)).headers["traceparent"]
        written = await socket.call("resources/write", _meta=told("websocket"), uri=uri, content=2)
        names["websocket"] = written["_meta"]["traceparent"]
        names["grpc"] = (await grpc.call("resources/write", told("grpc"), uri=uri, content=3)).headers["traceparent"]
        names["sse"] = stream.headers["traceparent"]
        await stream.count(3)
        for trace, (path, status) in REFUSED.items():
            answer = await rest.http.get(path, headers={"traceparent": f"00-{trace}-{SPAN}-01"})
            assert answer.status_code == status
        with refuses("resource_not_found"):
            await grpc.call("resources/read", {"traceparent": f"00-{'8' * 32}-{SPAN}-01"}, uri=f"{uri}b")
        assert [event["traceparent"] for event in stream.events] == [
            names[transport] for transport in ("rest", "websocket", "grpc")
        ]
    # the entries of it all are moved by a task
    await eventually(lambda: tracing.truth.waiting_entries() == 0, PATIENCE, "the outbox is empty")
    assert collector.found_spans() == []
    assert await asyncio.to_thread(tracing.nodes[0].stop) == 0

    assert collector.headers["authorization"] == "Bearer t"
    found = collector.found_spans()
    by_id = {f"00-{span.trace_id.hex()}-{span.span_id.hex()}-01": span for span in found}
    for transport, name in names.items():
        span = by_id[name]
        assert (span.kind, span.parent_span_id.hex()) == (Span.SPAN_KIND_SERVER, SPAN)
        attributed = attributes(span.attributes)
        assert attributed["erlmcp.transport"] == transport
        names_of_conventions = {name: value for name, value in attributed.items() if name.startswith(("http.", "rpc."))}
        assert names_of_conventions == OF_TRANSPORTS[transport]
    servers = {span.trace_id.hex(): attributes(span.attributes) for span in found if span.kind == Span.SPAN_KIND_SERVER}
    for trace, (_, status) in REFUSED.items():
        assert servers[trace]["http.response.status_code"] == status
    assert ["http.route" in servers[trace] for trace in REFUSED] == [True, False]
    assert servers["8" * 32]["rpc.response.status_code"] == "NOT_FOUND"
    links = {link.span_id: span.name for span in found for link in span.links}
    assert links[by_id[names["grpc"]].span_id] in {"commit", "send changes"}
    handed = [link.span_id for span in found if span.name == "send changes" for link in span.links]
    assert {by_id[names[transport]].span_id for transport in ("rest", "websocket", "grpc")} <= set(handed)
    # one process answers, another runs the tasks, and each has told of its own
    tasks = {span.span_id: span.parent_span_id for span in found if span.name == TASK}
    asked = {span.span_id for span in found if span.name == TASK.replace("process", "send")}
    assert asked & set(tasks.values()), "beat has asked for some, and the trace goes on in the worker"
    answering, working = instances(collector, "resources/write"), instances(collector, TASK)
    assert len(answering) == 1 and working and answering.isdisjoint(working)
