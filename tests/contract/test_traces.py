"""W3C Trace Context in and out on every transport, and on what followers are told of a change."""

from collections.abc import Mapping
from typing import Any

from tests.contract.conftest import Client
from tests.stack.answers import Refused
from tests.stack.cluster import Cluster
from tests.stack.rest import Rest
from tests.stack.sockets import Socket
from tests.stack.sse import follow

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
TOLD = {"traceparent": f"00-{TRACE}-00f067aa0ba902b7-01", "tracestate": "vendor=a1,other@b=2"}
BAD = [
    f"00-{'0' * 32}-00f067aa0ba902b7-01",
    f"ff-{TRACE}-00f067aa0ba902b7-01",
    f"00-{TRACE.upper()}-00f067aa0ba902b7-01",
]


async def ask(client: Client, told: Mapping[str, str], method: str, **params: Any) -> tuple[Any, str | None]:
    """The result, or the code of the refusal, of a method that is asked for with a trace; and the answer's span."""
    try:
        if isinstance(client, Socket):
            result = (await client.call(method, _meta=told, **params)).result
            return result, result.pop("_meta", {}).get("traceparent")
        answer = await client.call(method, told, **params)  # type: ignore[call-arg]
        return answer.result, answer.headers.get("traceparent")
    except Refused as refused:
        if isinstance(client, Socket):
            return refused.code, refused.data.get("_meta", {}).get("traceparent")
        return refused.code, refused.headers.get("traceparent")


def is_of_the_trace(traceparent: str | None) -> bool:
    """Whether this is a span of the caller's trace, and not the caller's own."""
    if traceparent is None or traceparent == TOLD["traceparent"]:
        return False
    version, trace, span, flags = traceparent.split("-")
    return (version, trace, len(span), flags) == ("00", TRACE, 16, "01")


async def test_an_answer_names_its_span_to_a_caller_who_traces(alice: Client, tree: str) -> None:
    written, span = await ask(alice, TOLD, "resources/write", uri=f"{tree}a", content=1)
    assert written["version"] == 1 and is_of_the_trace(span)
    read, another = await ask(alice, TOLD, "resources/read", uri=f"{tree}a")
    assert read["content"] == 1 and is_of_the_trace(another)
    code, third = await ask(alice, TOLD, "resources/read", uri=f"{tree}b")
    assert code == "resource_not_found" and is_of_the_trace(third)
    assert len({span, another, third}) == 3


async def test_an_event_names_the_span_of_its_change_now_and_whenever_it_is_replayed(
    alice: Client, socket: Socket, rest: Rest, stack: Cluster, tree: str
) -> None:
    start = stack.truth.head()
    followed = await socket.subscribe(f"{tree}*")
    deltas = await socket.subscribe(f"{tree}*", options={"delta": True})
    span = [(await ask(alice, TOLD, "resources/write", uri=f"{tree}a", content={"n": n}))[1] for n in range(2)]
    told = [{"traceparent": one, "tracestate": TOLD["tracestate"]} for one in span]
    assert all(map(is_of_the_trace, span))
    await followed.count(2)
    await deltas.count(2)
    assert [trace_of(event) for event in followed.events] == told
    assert [trace_of(event) for event in deltas.events] == told
    async with stack.rest("bob", node=len(stack.nodes) - 1) as bob:
        subscription = (await bob.call("subscriptions/create", uri=f"{tree}*", **{"from": start}))["id"]
        polled = (await bob.call("events/poll", subscription=subscription, after=start))["events"]
        async with follow(bob, {"Last-Event-ID": str(start)}, uri=f"{tree}*") as stream:
            await stream.count(2)
            assert [trace_of(event) for event in stream.events] == told
    assert [trace_of(event) for event in polled] == told
    async with stack.grpc("bob") as grpc, grpc.follow(uri=f"{tree}*", start=start) as replayed:
        await replayed.followed.count(2)
        assert [trace_of(event) for event in replayed.followed.events] == told


async def test_a_trace_that_is_none_is_ignored(alice: Client, socket: Socket, tree: str) -> None:
    followed = await socket.subscribe(f"{tree}*")
    for traceparent in BAD:
        told = {**TOLD, "traceparent": traceparent}
        _, span = await ask(alice, told, "resources/write", uri=f"{tree}a", content=1)
        assert span is None
    await followed.count(len(BAD))
    assert [trace_of(event) for event in followed.events] == [{}] * len(BAD)


async def test_a_stream_that_is_opened_in_a_trace_names_its_span(rest: Rest, stack: Cluster, tree: str) -> None:
    async with follow(rest, TOLD, uri=f"{tree}*") as stream:
        assert is_of_the_trace(stream.headers["traceparent"])
    async with stack.grpc("alice") as grpc, grpc.follow(None, TOLD, uri=f"{tree}*") as call:
        metadata = dict(await call.call.initial_metadata())
        assert is_of_the_trace(metadata["traceparent"])


def trace_of(event: Mapping[str, Any]) -> dict[str, Any]:
    return {name: event[name] for name in ("traceparent", "tracestate") if name in event}
