"""Each request leaves one line, by LOG_REQUESTS; a slow one says what it was slow at."""

import asyncio
import os
from collections.abc import Callable, Iterator
from typing import Any

import orjson
import pytest
from django.contrib.auth.models import User
from pytest_django import Settings

from erlmcp_site.logs.outflow import Outflow
from erlmcp_site.logs.requests import Kind, Outcome, RequestLines
from telemetry_app.tracing.context import continued
from telemetry_app.under_way import UnderWay
from tests.pipeline.calls import URI, ask, body, token_of
from tests.sessions.conftest import running, users

__all__ = ["running", "users"]

Lines = Callable[[], list[dict[str, Any]]]


@pytest.fixture
def pipe() -> Iterator[tuple[int, Lines]]:
    """Where to write, and what has come."""
    reads, writes = os.pipe()
    yield writes, lambda: [orjson.loads(line) for line in os.read(reads, 1 << 16).splitlines()]
    for end in (reads, writes):
        os.close(end)


def note(lines: RequestLines, outcome: Outcome, seconds: float = 0.001, **more: Any) -> None:
    code = {"success": "ok", "refused": "forbidden", "error": "internal_error", "abandoned": "abandoned"}[outcome]
    work = UnderWay(more.pop("request_id", "r-1"), continued(None), "s-1", queries=3, query_seconds=0.25)
    lines.note(
        work, Kind("rest", "resources/read", code), outcome, [("received", 0.0), ("processing", seconds)], **more
    )


def test_a_line_has_what_is_to_be_known_of_a_request_and_nothing_else(pipe: tuple[int, Lines]) -> None:
    descriptor, written = pipe
    note(RequestLines(Outflow(descriptor)), "success", 0.0123456)
    (line,) = written()
    assert {line.pop(name) for name in ("time", "pid", "trace_id", "span_id")}
    assert line == {
        "level": "info",
        "logger": "erlmcp.requests",
        "message": "request",
        "request_id": "r-1",
        "session_id": "s-1",
        "transport": "rest",
        "method": "resources/read",
        "outcome": "success",
        "code": "ok",
        "ms": 12.346,
    }


@pytest.mark.parametrize(
    ("which", "left"),
    [
        ("all", ["success", "refused", "error", "abandoned", "success slow"]),
        ("failed", ["refused", "error", "abandoned", "success slow"]),
        ("slow", ["error", "success slow"]),
        ("none", []),
    ],
)
def test_which_requests_leave_a_line_is_a_choice(
    settings: Settings, pipe: tuple[int, Lines], which: str, left: list[str]
) -> None:
    settings.LOG_REQUESTS, settings.SLOW_REQUEST_SECONDS = which, 2.0
    descriptor, written = pipe
    lines = RequestLines(Outflow(descriptor))
    outcomes: tuple[Outcome, ...] = ("success", "refused", "error", "abandoned")
    for outcome in outcomes:
        note(lines, outcome)
    note(lines, "success", 2.5)
    os.write(descriptor, b"{}\n")
    *found, _ = written()
    assert [f"{line['outcome']}{' slow' if line['message'] == 'slow request' else ''}" for line in found] == left
    assert {line["level"] for line in found if line["outcome"] in ("refused", "abandoned")} <= {"info"}


def test_a_slow_request_says_what_it_was_slow_at(settings: Settings, pipe: tuple[int, Lines]) -> None:
    settings.SLOW_REQUEST_SECONDS = 0.5
    descriptor, written = pipe
    note(RequestLines(Outflow(descriptor)), "success", 0.5)
    (line,) = written()
    assert (line["level"], line["message"], line["ms"]) == ("warning", "slow request", 500)
    assert line["stages"] == {"received": 0, "processing": 500}
    assert (line["queries"], line["query_ms"]) == (3, 250)


def test_what_is_made_to_wait_is_not_slow_and_no_time_is_slow_with_0(
    settings: Settings, pipe: tuple[int, Lines]
) -> None:
    descriptor, written = pipe
    lines = RequestLines(Outflow(descriptor))
    settings.SLOW_REQUEST_SECONDS = 0.5
    note(lines, "success", 20, may_wait=True)
    settings.SLOW_REQUEST_SECONDS = 0
    note(lines, "success", 20)
    assert [line["message"] for line in written()] == ["request", "request"]


def test_a_flood_of_refusals_is_summed_up_and_takes_no_success_with_it(
    settings: Settings, pipe: tuple[int, Lines]
) -> None:
    descriptor, written = pipe
    settings.LOG_REFUSALS = type(settings.LOG_REFUSALS)(5, 3600)
    outflow = Outflow(descriptor)
    lines = RequestLines(outflow)
    for _ in range(20):
        note(lines, "refused")
        note(lines, "success")
    outflow.end(0)
    *found, last = written()
    assert [line["outcome"] for line in found].count("refused") == 5
    assert [line["outcome"] for line in found].count("success") == 20
    assert (last["message"], last["left_out"], last["code"]) == ("15 more requests were left out", 15, "forbidden")
    assert (last["transport"], last["method"]) == ("rest", "resources/read")


def test_an_id_that_looks_like_a_secret_is_left_out(pipe: tuple[int, Lines]) -> None:
    descriptor, written = pipe
    note(RequestLines(Outflow(descriptor)), "success", request_id="erlk_0123456789abcdef")
    assert written()[0]["request_id"] == "[redacted]"


def logged(text: str) -> list[dict[str, Any]]:
    """The lines of the log in what was written to standard error, where others may write, too."""
    return [orjson.loads(line) for line in text.splitlines() if line.startswith("{")]


async def test_the_pipeline_leaves_one_line_a_request_with_the_ids_of_its_answer(
    running: dict[str, User], capfd: pytest.CaptureFixture[str]
) -> None:
    token = await token_of("alice")
    written = await ask("resources/write", {"uri": URI, "content": "canary"}, token)
    body(written)
    parent = f"00-{'a' * 32}-{'b' * 16}-01"
    refused = await ask("resources/read", {"uri": f"{URI}/none"}, token, metadata={"traceparent": parent})
    unknown = await ask("password=hunter2", {}, token)
    text = capfd.readouterr().err
    of = {
        reply.request_id: [line for line in logged(text) if line.get("request_id") == reply.request_id]
        for reply in (written, refused, unknown)
    }
    assert [len(lines) for lines in of.values()] == [1, 1, 1]
    (first,), (second,), (third,) = of.values()
    assert (first["method"], first["code"], first["session_id"]) == ("resources/write", "ok", written.session_id)
    assert (second["code"], second["outcome"], second["trace_id"]) == ("resource_not_found", "refused", "a" * 32)
    assert second["session_id"] == refused.session_id and second["span_id"] != "b" * 16
    assert (third["method"], third["code"]) == ("unknown", "method_not_found")
    assert "canary" not in text and "hunter2" not in text and token not in text


async def test_a_request_whose_client_went_away_leaves_its_line(
    running: dict[str, User], capfd: pytest.CaptureFixture[str]
) -> None:
    token = await token_of("alice")
    uri = f"{URI}/waited-for"
    body(await ask("resources/write", {"uri": uri, "content": 1}, token))
    made = body(await ask("subscriptions/create", {"uri": uri}, token))
    poll = asyncio.create_task(ask("events/poll", {"subscription": made["id"], "wait": 20}, token))
    await asyncio.sleep(0)
    poll.cancel()
    with pytest.raises(asyncio.CancelledError):
        await poll
    (line,) = [line for line in logged(capfd.readouterr().err) if line.get("method") == "events/poll"]
    assert (line["outcome"], line["code"], line["level"]) == ("abandoned", "abandoned", "info")
