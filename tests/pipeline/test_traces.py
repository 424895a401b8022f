"""Requests, the batches that commit them and tasks, as a collector is told of them."""

import asyncio
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from kombu.connection import Connection
from kombu.entity import Queue
from opentelemetry.proto.trace.v1.trace_pb2 import Span
from pytest_django import Settings
from rest_framework import serializers

from audit_app.commands import Record
from audit_app.system import system_entry
from audit_app.writer import writer
from erlmcp_site.celery import app
from erlmcp_site.pipeline.messages import Reply, Request
from erlmcp_site.pipeline.method import Method
from erlmcp_site.pipeline.passage import Passage
from erlmcp_site.pipeline.runner import Pipeline
from erlmcp_site.serving import file_broker
from erlmcp_site.task_spans import task_span
from resources_app.errors import ResourceNotFound
from resources_app.hub.hub import hub
from resources_app.log.read import read_changes
from telemetry_app.tracing.context import continued, current
from telemetry_app.tracing.tracer import tracer
from tests.pipeline.calls import URI, ask, body, code, token_of
from tests.resources.outlets import Client, following
from tests.sessions.conftest import PASSWORD
from tests.stack.otlp import Collector, attributes
from tests.stack.waiting import PATIENCE, eventually

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
PARENT = "00f067aa0ba902b7"
TOLD = {"traceparent": f"00-{TRACE}-{PARENT}-01", "tracestate": "vendor=a1"}
UNSAMPLED = {"traceparent": f"00-{TRACE}-{PARENT}-00"}

STAGES = ["received", "authenticating", "authorized", "processing", "responding"]


@pytest.fixture(autouse=True)
async def collector(settings: Settings, users: Any) -> AsyncIterator[Collector]:
    """Gets what this process keeps: nothing that begins here, and nothing for being slow, unless a test says so."""
    made = Collector()
    settings.OTEL_EXPORTER_OTLP_ENDPOINT = made.http_url
    settings.OTEL_TRACES_SAMPLER_ARG = 0.0
    settings.TRACES_SLOW_SECONDS = 600
    settings.OTEL_BSP_SCHEDULE_DELAY = 20
    tracer.start()
    yield made
    settings.OTEL_EXPORTER_OTLP_ENDPOINT = ""
    tracer.start()
    made.stop()


async def spans(collector: Collector, *names: str) -> list[Span]:
    """All that has come, once there is one of each of these names."""
    await eventually(lambda: {span.name for span in collector.found_spans()} >= set(names), PATIENCE, names)
    return collector.found_spans()


async def spans_so_far(collector: Collector) -> list[Span]:
    """All that was kept up to now: a last request that is kept comes behind it."""
    reply = await ask("auth/login", {"username": "alice"}, metadata={"traceparent": f"00-{'9' * 32}-{'8' * 16}-01"})
    assert code(reply) == "invalid_params"
    found = await spans(collector, "auth/login")
    return [span for span in found if span.trace_id.hex() != "9" * 32 and span.name != "commit"]


def only(found: list[Span], name: str) -> Span:
    (span,) = [span for span in found if span.name == name]
    return span


def told_in_all(collector: Collector) -> bytes:
    """Everything that was sent, as it was."""
    return b"".join(request.SerializeToString() for request in collector.traces)


def ids(span: Any) -> tuple[str, str]:
    return span.trace_id.hex(), span.span_id.hex()


@pytest.mark.usefixtures("running")
async def test_a_write_is_told_with_its_stages_its_batch_and_what_its_followers_were_handed(
    collector: Collector,
) -> None:
    token = await token_of("alice")
    client = Client()
    hub.begin(await hub.follow(following("resource://example.com/*"), client))
    reply = await ask("resources/write", {"uri": URI, "content": 1}, token, metadata=TOLD, verb="PUT")
    found = await spans(collector, "resources/write", "commit", "send changes")
    written = only(found, "resources/write")
    assert (written.trace_id.hex(), written.parent_span_id.hex(), written.trace_state) == (TRACE, PARENT, "vendor=a1")
    assert (written.kind, written.status.code) == (Span.SPAN_KIND_SERVER, 0)
    assert attributes(written.attributes) == {
        "erlmcp.transport": "rest",
        "erlmcp.method": "resources/write",
        "erlmcp.outcome": "success",
        "erlmcp.resource.type": "resource",
        "erlmcp.resource.id": URI,
        "erlmcp.request.id": reply.request_id,
        "session.id": reply.session_id,
        "http.request.method": "PUT",
    }
    stages = [span for span in found if span.parent_span_id == written.span_id]
    assert [span.name for span in stages] == STAGES
    assert {(span.trace_id, span.kind) for span in stages} == {(written.trace_id, Span.SPAN_KIND_INTERNAL)}
    edges = [(span.start_time_unix_nano, span.end_time_unix_nano) for span in stages]
    assert [start for start, _ in edges] == [written.start_time_unix_nano, *(end for _, end in edges[:-1])]
    assert edges[-1][1] == written.end_time_unix_nano

    # its session was made before, in another one
    (link,) = written.links
    (batch,) = [span for span in found if ids(span) == ids(link)]
    assert batch.name == "commit"
    assert [ids(link) for link in batch.links] == [ids(written)]
    assert batch.trace_id != written.trace_id
    assert attributes(batch.attributes)["db.operation.batch.size"] >= 1

    handed = only(found, "send changes")
    assert [ids(link) for link in handed.links] == [ids(written)]
    assert attributes(handed.attributes)["messaging.destination.name"] == "resource://example.com/*"
    (event,) = await asyncio.to_thread(read_changes, 0, 10)
    assert event.trace is not None
    assert (event.trace.trace_id, event.trace.span_id) == ids(written)
    assert event.trace.state == "vendor=a1"


@pytest.mark.usefixtures("running")
async def test_of_what_is_not_sampled_nothing_is_told_that_went_well(collector: Collector) -> None:
    token = await token_of("alice")
    body(await ask("resources/write", {"uri": URI, "content": 1}, token))
    body(await ask("resources/write", {"uri": URI, "content": 2}, token, metadata=UNSAMPLED))
    assert code(await ask("resources/read", {"uri": URI + "b"}, token)) == "resource_not_found"
    assert await spans_so_far(collector) == []


@pytest.mark.usefixtures("running")
async def test_a_flood_does_not_take_the_place_of_others(collector: Collector) -> None:
    assert code(await ask("resources/read", {"uri": URI}, "no token", metadata=TOLD)) == "unauthenticated"
    assert await spans_so_far(collector) == []


@pytest.mark.usefixtures("running")
@pytest.mark.parametrize("metadata", [{}, UNSAMPLED])
async def test_what_failed_is_told_all_the_same(collector: Collector, metadata: dict[str, str]) -> None:
    failed = await run(RuntimeError("the secret is 42"), metadata)
    await run(ResourceNotFound(), metadata)
    found = await spans_so_far(collector)
    span = only(found, "test/run")
    assert attributes(span.attributes)["erlmcp.request.id"] == failed.request_id
    assert attributes(span.attributes)["error.type"] == "internal_error"
    assert (span.status.code, span.status.message) == (2, "internal_error")
    assert b"the secret" not in told_in_all(collector)


@pytest.mark.usefixtures("running")
async def test_what_was_slow_is_told_all_the_same(collector: Collector, settings: Settings) -> None:
    settings.TRACES_SLOW_SECONDS = 1e-9
    tracer.start()
    reply = await run(None, UNSAMPLED)
    found = await spans(collector, "test/run")
    assert attributes(only(found, "test/run").attributes)["erlmcp.request.id"] == reply.request_id


@pytest.mark.usefixtures("running")
async def test_what_is_made_to_wait_is_not_slow(collector: Collector, settings: Settings) -> None:
    settings.TRACES_SLOW_SECONDS = 1e-9
    tracer.start()
    await run(None, UNSAMPLED, seconds=30.0)
    await run(None, UNSAMPLED, name="test/next")
    assert "test/run" not in {span.name for span in await spans(collector, "test/next")}


@pytest.mark.usefixtures("running")
async def test_a_share_of_what_begins_here_is_told(collector: Collector, settings: Settings) -> None:
    settings.OTEL_TRACES_SAMPLER_ARG = 1.0
    tracer.start()
    replies = [await run(None), await run(ResourceNotFound())]

    def told() -> set[str]:
        named = [attributes(span.attributes) for span in collector.found_spans() if span.name == "test/run"]
        return {one["erlmcp.request.id"] for one in named}

    await eventually(lambda: told() == {reply.request_id for reply in replies}, PATIENCE, "both")


@pytest.mark.usefixtures("running")
async def test_no_secret_is_told(collector: Collector) -> None:
    token = await token_of("alice")
    canary = "canary-8c1f"
    login = {"username": "alice", "password": PASSWORD}
    secrets = [token, PASSWORD, canary]
    body(await ask("auth/login", login, metadata=TOLD, user_agent=f"Bearer {token}"))
    content = {"uri": URI, "content": {"a": canary}, "description": canary, "idempotency_key": canary}
    body(await ask("resources/write", content, token, metadata={**TOLD, "x-canary": canary}))
    body(await ask("resources/read", {"uri": URI}, token, metadata=TOLD, client_id=canary))
    # where a client puts a token into an address or an id
    assert code(await ask("resources/read", {"uri": f"{URI}?token={canary}"}, token, metadata=TOLD)) is not None
    await spans(collector, "auth/login", "resources/write", "resources/read", "commit")
    assert URI.encode() in told_in_all(collector)
    await eventually(
        lambda: sum(span.name == "resources/read" for span in collector.found_spans()) == 2, PATIENCE, "both reads"
    )
    told = told_in_all(collector)
    assert [secret for secret in secrets if secret.encode() in told] == []


@app.task(name="tests.committing")
def committing() -> None:
    writer.run(Record(entry=system_entry("test/commit")))


async def test_a_task_is_told_with_what_it_commits(collector: Collector, settings: Settings) -> None:
    settings.TRACES_SLOW_SECONDS = 1e-9
    tracer.start()
    await asyncio.to_thread(committing)
    found = await spans(collector, "process tests.committing", "commit")
    task, batch = only(found, "process tests.committing"), only(found, "commit")
    assert (task.kind, task.status.code) == (Span.SPAN_KIND_CONSUMER, 0)
    assert attributes(task.attributes)["messaging.system"] == "celery"
    assert [ids(link) for link in batch.links] == [ids(task)]


async def test_a_task_is_of_the_trace_of_whoever_asked_for_it_also_over_files(
    collector: Collector, tmp_path: Path
) -> None:
    file_broker.prepare_broker(tmp_path)
    options = file_broker.broker_options(tmp_path)
    queue = Queue(f"tests-{uuid4()}")
    messages: list[Any] = []

    def send_and_run() -> None:
        token = current.set(continued(TOLD["traceparent"], TOLD["tracestate"]))
        asking = current.get()
        with Connection(transport=file_broker.TRANSPORT, transport_options=options) as broker:
            app.send_task(committing.name, connection=broker, queue=queue, headers={"own": "kept"})
            assert current.get() is asking
            current.reset(token)
            with broker.Consumer(queue, on_message=messages.append, no_ack=True):
                broker.drain_events(timeout=30)
        committing.apply(headers=messages[0].headers)

    await asyncio.to_thread(send_and_run)
    found = await spans(collector, f"send {committing.name}", f"process {committing.name}", "commit")
    sent, task = only(found, f"send {committing.name}"), only(found, f"process {committing.name}")
    assert messages[0].headers["own"] == "kept"
    assert messages[0].headers["tracestate"] == task.trace_state == "vendor=a1"
    assert messages[0].headers["traceparent"] == f"00-{TRACE}-{sent.span_id.hex()}-01"
    assert (sent.kind, task.kind) == (Span.SPAN_KIND_PRODUCER, Span.SPAN_KIND_CONSUMER)
    assert sent.trace_id == task.trace_id == bytes.fromhex(TRACE)
    assert task.parent_span_id == sent.span_id
    assert attributes(sent.attributes)["messaging.operation.type"] == "send"
    assert [ids(link) for link in only(found, "commit").links] == [ids(task)]


@pytest.mark.parametrize("header", [None, 7, ["00"], "00-bad", {}])
async def test_a_message_that_names_no_trace_begins_one(header: object) -> None:
    with task_span("tests.any", {"traceparent": header, "tracestate": header}):
        trace = current.get()
        assert trace is not None
        assert (trace.parent_id, trace.state) == ("", "")
    assert current.get() is None


@app.task(name="tests.failing")
def failing() -> None:
    assert current.get() is not None
    raise ValueError("the secret is 42")


async def test_a_task_that_fails_is_told_all_the_same(collector: Collector) -> None:
    with pytest.raises(ValueError, match="42"):
        await asyncio.to_thread(failing)
    task = only(await spans(collector, "process tests.failing"), "process tests.failing")
    assert (task.status.code, task.status.message) == (2, "ValueError")
    assert b"the secret" not in told_in_all(collector)


async def run(
    error: Exception | None,
    metadata: dict[str, str] | None = None,
    *,
    name: str = "test/run",
    seconds: float | None = None,
) -> Reply:
    async def work(passage: Passage) -> Any:
        assert current.get() is passage.trace
        if error is not None:
            raise error
        return {}

    params: serializers.Serializer[Any] = serializers.Serializer()
    method = Method(name=name, run=work, params=params, needs=None, public=True, seconds=seconds)
    request = Request(
        id=f"request-{time.monotonic_ns()}",
        method=name,
        params={},
        transport="rest",
        timestamp=time.time(),
        metadata=metadata or {},
    )
    reply = await Pipeline({name: method}).run(request)
    assert current.get() is None
    return reply


def test_a_trace_that_nobody_looks_at_has_a_span_of_its_own_each_time() -> None:
    first, second = continued(None), continued(None)
    assert {first.trace_id, first.span_id}.isdisjoint({second.trace_id, second.span_id})
