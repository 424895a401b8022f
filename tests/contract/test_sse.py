"""Following over server-sent events (contract §4)."""

import asyncio

import httpx
import pytest

from tests.stack.cluster import Cluster
from tests.stack.refusals import refuses
from tests.stack.rest import Rest
from tests.stack.sse import follow
from tests.stack.waiting import PATIENCE, eventually


async def test_events_come_as_messages_with_their_offset_as_id(rest: Rest, tree: str) -> None:
    async with follow(rest, uri=f"{tree}*") as stream:
        assert stream.headers["x-accel-buffering"] == "no"
        assert "no-" in stream.headers["cache-control"]
        written = [await rest.call("resources/write", uri=f"{tree}a", content=n) for n in range(3)]
        await stream.count(3)
        ids = [message.id for message in stream.messages if message.name == "message"]
        assert ids == [str(answer["offset"]) for answer in written]
        assert [event["data"] for event in stream.events] == [answer.result for answer in written]


async def test_last_event_id_wins_over_from(rest: Rest, tree: str) -> None:
    offsets = [(await rest.call("resources/write", uri=f"{tree}a", content=n))["offset"] for n in range(5)]
    last = {"Last-Event-ID": str(offsets[2])}
    async with follow(rest, last, uri=f"{tree}*", **{"from": "earliest"}) as stream:
        await stream.count(2)
        assert [event["offset"] for event in stream.events] == offsets[3:]
    async with follow(rest, uri=f"{tree}*", **{"from": "earliest"}) as stream:
        await stream.count(5)
        assert [event["offset"] for event in stream.events] == offsets


async def test_a_durable_subscription_streams_from_its_acknowledged_offset(rest: Rest, tree: str) -> None:
    subscription = (await rest.call("subscriptions/create", uri=f"{tree}*"))["id"]
    offsets = [(await rest.call("resources/write", uri=f"{tree}a", content=n))["offset"] for n in range(4)]
    await rest.call("events/ack", subscription=subscription, offset=offsets[0])
    async with follow(rest, subscription=subscription) as stream:
        await stream.count(3)
        assert [event["offset"] for event in stream.events] == offsets[1:]


async def test_reconnecting_over_and_over_misses_nothing(rest: Rest, tree: str, stack: Cluster) -> None:
    start = stack.truth.head()

    async def write() -> None:
        for n in range(80):
            await rest.call("resources/write", uri=f"{tree}{n % 4}", content=n)

    writing = asyncio.create_task(write())
    got: list[int] = []
    last = start
    for round_ in range(120):
        node = stack.rest("bob", node=round_ % len(stack.nodes))
        async with node as bob, follow(bob, {"Last-Event-ID": str(last)}, uri=f"{tree}*") as stream:
            if writing.done() and len(got) == 80:
                break
            await stream.count(1)
            got += [event["offset"] for event in stream.events]
            last = got[-1]
    await writing
    assert got == [offset for offset, _, _ in stack.truth.log(tree, start)]


@pytest.mark.parametrize("params", [{}, {"uri": "nonsense"}, {"uri": "resource://host/*", "from": "yesterday"}])
async def test_a_stream_that_makes_no_sense_is_a_problem(rest: Rest, params: dict) -> None:
    with refuses("invalid_uri" if params.get("uri") == "nonsense" else "invalid_params"):
        async with follow(rest, **params):
            pass


@pytest.mark.parametrize("last", ["nonsense", "-1", "1.5", "9" * 30])
async def test_a_last_event_id_that_is_garbage_is_refused(rest: Rest, tree: str, last: str) -> None:
    with refuses("invalid_params"):
        async with follow(rest, {"Last-Event-ID": last}, uri=f"{tree}*"):
            pass


async def test_what_is_not_there_cannot_be_streamed(rest: Rest, tree: str) -> None:
    with refuses("resource_not_found"):
        async with follow(rest, uri=f"{tree}a"):
            pass
    with refuses("resource_not_found"):
        async with follow(rest, subscription="nonsense"):
            pass


async def test_a_stream_needs_a_token_in_the_header(stack: Cluster, tree: str) -> None:
    async with stack.rest() as nobody:
        with refuses("unauthenticated"):
            async with follow(nobody, uri=f"{tree}*", token=stack.token("alice")):
                pass


async def test_a_client_that_goes_away_is_forgotten(rest: Rest, stack: Cluster, tree: str) -> None:
    async def followers() -> float:
        text = (await rest.http.get("/metrics")).text
        (line,) = [line for line in text.splitlines() if line.startswith("erlmcp_followers ")]
        return float(line.split()[1])

    async def are(count: int) -> None:
        async def reached() -> bool:
            return await followers() == count

        await eventually(reached, PATIENCE, f"{count} followers")

    # those of other tests have left, or are about to
    await are(0)
    streams = [follow(rest, uri=f"{tree}*") for _ in range(5)]
    for stream in streams:
        await stream.__aenter__()
    await are(5)
    for stream in streams:
        await stream.__aexit__(None, None, None)
    await are(0)


async def test_http_1_0_style_clients_see_plain_lines(rest: Rest, tree: str) -> None:
    """Byte for byte: what a browser's EventSource is given."""
    await rest.call("resources/write", uri=f"{tree}a", text="line one\nline two")
    async with rest.http.stream(
        "GET", "/api/v1/events/stream", params={"uri": f"{tree}*", "from": "earliest"}, timeout=httpx.Timeout(60)
    ) as response:
        text = ""
        async for chunk in response.aiter_text():
            text += chunk
            if "line one" in text and text.endswith("\n\n"):
                break
    (message,) = [part for part in text.split("\n\n") if "line one" in part]
    lines = message.split("\n")
    assert "line one\\nline two" in next(line for line in lines if line.startswith("data:"))
    assert any(line.startswith("id:") for line in lines)
