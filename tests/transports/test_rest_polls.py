"""Long polls: they wait for an event, for the end of their time, and for nobody who has gone."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from erlmcp_site.node import node
from erlmcp_site.transports.polls import Polls, polls
from telemetry_app.metrics import FOLLOWERS
from telemetry_app.tracing.tracer import tracer
from tests.stack.otlp import Collector, attributes
from tests.transports.http_server import Site, until


async def subscription(site: Site) -> str:
    created = await site.ask("POST", "subscriptions", json={"uri": "resource://host/*"})
    assert created.status_code == 201, created.text
    return str(created.json()["id"])


async def test_a_poll_waits_for_the_next_event(site: Site) -> None:
    id = await subscription(site)
    waiting = asyncio.create_task(site.ask("GET", f"events?subscription={id}&timeout_ms=10000"))
    await until(lambda: len(polls) == 1)
    written = await site.write("host/a", 1)
    answer = (await waiting).json()
    assert ([event["offset"] for event in answer["events"]], answer["offset"]) == (
        [written["offset"]],
        written["offset"],
    )


async def test_a_poll_ends_with_nothing_when_its_time_is_up(site: Site) -> None:
    answer = await site.ask("GET", f"events?subscription={await subscription(site)}&timeout_ms=50")
    assert (answer.status_code, answer.json()["events"]) == (200, [])


async def test_nobody_waits_for_a_client_that_has_gone(site: Site) -> None:
    id = await subscription(site)
    before = FOLLOWERS._value.get()
    waiting = asyncio.create_task(site.ask("GET", f"events?subscription={id}&timeout_ms=60000"))
    await until(lambda: FOLLOWERS._value.get() == before + 1)
    waiting.cancel()
    await until(lambda: FOLLOWERS._value.get() == before and not len(polls))


TRACED = {"traceparent": f"00-{'7' * 32}-{'8' * 16}-01"}


@pytest.fixture
async def collector(settings: Any) -> AsyncIterator[Collector]:
    """Gets the traces that callers want to be kept."""
    made = Collector()
    settings.OTEL_EXPORTER_OTLP_ENDPOINT, settings.OTEL_BSP_SCHEDULE_DELAY = made.http_url, 20
    settings.OTEL_TRACES_SAMPLER_ARG = 0.0
    tracer.start()
    yield made
    settings.OTEL_EXPORTER_OTLP_ENDPOINT = ""
    tracer.start()
    made.stop()


def polled(collector: Collector) -> list[dict[str, Any]]:
    """What is told of polls so far."""
    return [attributes(span.attributes) for span in collector.found_spans() if span.name == "events/poll"]


async def test_the_trace_of_a_poll_has_the_status_it_was_answered_with_or_none(
    site: Site, collector: Collector
) -> None:
    id = await subscription(site)
    path = f"events?subscription={id}&timeout_ms="
    assert (await site.ask("GET", f"{path}1", headers=TRACED)).status_code == 200
    await until(lambda: polled(collector))
    before = FOLLOWERS._value.get()
    waiting = asyncio.create_task(site.ask("GET", f"{path}60000", headers=TRACED))
    await until(lambda: FOLLOWERS._value.get() == before + 1)
    waiting.cancel()
    await until(lambda: len(polled(collector)) == 2)
    answered, abandoned = polled(collector)
    assert (answered["http.route"], answered["http.response.status_code"]) == ("/api/v1/events", 200)
    assert abandoned["http.route"] == "/api/v1/events"
    assert "http.response.status_code" not in abandoned


async def test_a_poll_that_cannot_be_is_refused_at_once(site: Site) -> None:
    for query, expected in {
        "": (400, "invalid_params"),
        "subscription=none": (404, "resource_not_found"),
        f"subscription={await subscription(site)}&after=9999": (410, "reset"),
    }.items():
        answer = await site.ask("GET", f"events?{query}")
        assert (answer.status_code, answer.json()["code"]) == expected


async def test_a_drain_ends_the_polls_that_wait_and_those_that_come(monkeypatch: pytest.MonkeyPatch) -> None:
    draining = Polls()
    waiting = draining.ends()
    assert not waiting.done()
    await draining.drain(1.0)
    assert waiting.done()
    monkeypatch.setattr(node, "draining", asyncio.Event())
    node.draining.set()
    assert draining.ends().done()
