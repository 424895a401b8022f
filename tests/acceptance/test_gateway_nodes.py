"""What the gateway does about nodes that are not ready, that go away, and that die over a request."""

import asyncio
from collections.abc import Iterator
from itertools import product

import grpc
import httpx
import pytest

from tests.stack.answers import Refused, refused_by_http
from tests.stack.gateway import KINDS, Gateway, gateway
from tests.stack.messages import request_of, rpc_of
from tests.stack.stand_in import StandIn
from tests.stack.waiting import eventually

CHANGES = ["POST", "PUT", "PATCH", "DELETE"]
WITHIN = 30


@pytest.fixture(scope="module")
def stand_ins() -> Iterator[tuple[StandIn, StandIn]]:
    with StandIn("one") as one, StandIn("two") as two:
        yield one, two


@pytest.fixture(scope="module", params=KINDS)
def gateway_of_all(request: pytest.FixtureRequest, stand_ins: tuple[StandIn, StandIn]) -> Iterator[Gateway]:
    for node in stand_ins:
        node.again()
    with gateway(request.param, stand_ins) as edge:
        yield edge


@pytest.fixture
async def edge(gateway_of_all: Gateway, stand_ins: tuple[StandIn, StandIn]) -> Gateway:
    """The gateway, which takes both for well."""
    for node in stand_ins:
        node.again()

    async def both_answer() -> bool:
        answers = [(verb, (await ask(gateway_of_all, verb)).text) for verb in ("GET",) * 4 + ("POST",) * 4]
        return set(answers) == set(product(("GET", "POST"), ("one", "two")))

    await eventually(both_answer, WITHIN, "both nodes are asked")
    for node in stand_ins:
        node.asked.clear()
    return gateway_of_all


@pytest.fixture
def one(stand_ins: tuple[StandIn, StandIn]) -> StandIn:
    return stand_ins[0]


@pytest.fixture
def two(stand_ins: tuple[StandIn, StandIn]) -> StandIn:
    return stand_ins[1]


async def ask(edge: Gateway, verb: str = "GET", path: str = "/api/v1/sessions", **options: object) -> httpx.Response:
    """The answer to one request on a connection of its own."""
    async with httpx.AsyncClient(base_url=edge.base, verify=edge.tls, trust_env=False, timeout=60) as http:
        return await http.request(verb, path, **options)  # type: ignore[arg-type]


def refusal_in(answer: httpx.Response) -> Refused:
    return refused_by_http(answer.status_code, answer.headers["content-type"], answer.json(), answer.headers)


def changes_of(*nodes: StandIn) -> int:
    return sum(asked.method in CHANGES for node in nodes for asked in node.asked)


# nginx as Debian has it does not ask nodes how they are
@pytest.mark.parametrize("gateway_of_all", ["haproxy"], indirect=True)
async def test_a_node_that_is_not_ready_gets_nothing_new(edge: Gateway, one: StandIn) -> None:
    one.is_ready = False

    async def is_left_alone() -> bool:
        return {(await ask(edge)).text for _ in range(6)} == {"two"}

    await eventually(is_left_alone, WITHIN, "the node that is not ready is left alone")
    one.asked.clear()
    answers = await asyncio.gather(*(ask(edge, verb) for verb in ("GET", *CHANGES) * 4))
    assert {answer.text for answer in answers} == {"two"}
    assert one.asked == []


async def test_a_node_that_has_gone_costs_no_request(edge: Gateway, one: StandIn, two: StandIn) -> None:
    one.close()
    answers = await asyncio.gather(*(ask(edge, verb, content=b"{}") for verb in CHANGES * 5))
    answers += await asyncio.gather(*(ask(edge) for _ in range(20)))
    assert {(answer.status_code, answer.text) for answer in answers} == {(200, "two")}
    assert changes_of(one, two) == 20


async def test_a_read_over_which_a_node_dies_is_answered_by_the_other(edge: Gateway, one: StandIn) -> None:
    one.hangs_up = True
    answers = [await ask(edge) for _ in range(10)]
    assert {(answer.status_code, answer.text) for answer in answers} == {(200, "two")}
    assert one.asked


async def test_a_change_over_which_a_node_dies_is_not_sent_again(edge: Gateway, one: StandIn, two: StandIn) -> None:
    one.hangs_up = two.hangs_up = True
    for verb, body in (("POST", b"{}"), ("PUT", b""), ("PUT", b"x" * 100_000), ("PATCH", b"{}"), ("DELETE", b"")):

        async def was_sent(verb: str = verb, body: bytes = body) -> bool:
            before = changes_of(one, two)
            answer = await ask(edge, verb, content=body)
            assert refusal_in(answer).code == "unavailable"
            # none: nginx leaves both alone for a second
            sent = changes_of(one, two) - before
            assert sent <= 1, (verb, body)
            return sent == 1

        await eventually(was_sent, WITHIN, f"{verb} is sent")


async def test_without_any_node_everything_is_unavailable(edge: Gateway, one: StandIn, two: StandIn) -> None:
    one.close()
    two.close()
    for verb in ("GET", *CHANGES):
        answer = await ask(edge, verb, content=b"{}")
        refused = refusal_in(answer)
        assert (refused.code, refused.number) == ("unavailable", 503)
        assert answer.headers["retry-after"] == "1"
    async with edge.grpc() as client:
        call = client.channel.unary_unary(rpc_of("resources/read"))
        with pytest.raises(grpc.aio.AioRpcError) as failed:
            await call(request_of("resources/read", {"uri": "resource://a/b"}).SerializeToString(), timeout=30)
    assert failed.value.code() is grpc.StatusCode.UNAVAILABLE
    trailing = dict(failed.value.trailing_metadata() or ())
    assert (trailing["erlmcp-code"], trailing["erlmcp-category"]) == ("unavailable", "retryable")
    assert trailing["request-id"]


async def test_nodes_that_come_back_are_asked_again(edge: Gateway, one: StandIn, two: StandIn) -> None:
    one.close()
    two.close()
    assert (await ask(edge)).status_code == 503
    one.again()

    async def is_back() -> bool:
        return (await ask(edge)).text == "one"

    await eventually(is_back, WITHIN, "the node that is back is asked")
