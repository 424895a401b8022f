"""What only JSON-RPC has: ids, batches, notifications, close codes (contract §5)."""

from typing import Any

import pytest

from tests.stack.answers import Refused, refused_by_jsonrpc
from tests.stack.cluster import Cluster
from tests.stack.refusals import refuses
from tests.stack.sockets import SUBPROTOCOL, Socket


async def test_the_subprotocol_is_chosen(socket: Socket) -> None:
    assert socket.connection.subprotocol == SUBPROTOCOL
    assert (await socket.call("ping")).result == {}


async def test_a_method_that_is_not_there(socket: Socket) -> None:
    for method in ("nonsense", "", "resources/readd", "auth.login", "__init__"):
        with refuses("method_not_found"):
            await socket.call(method)


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("{", "parse_error"),
        ("", "parse_error"),
        ("\u0000", "parse_error"),
        ('{"jsonrpc":"2.0","id":1,"method":"ping"', "parse_error"),
        ("1", "invalid_request"),
        ('"ping"', "invalid_request"),
        ("null", "invalid_request"),
        ("[]", "invalid_request"),
        ("{}", "invalid_request"),
        ('{"id":7,"method":"ping"}', "invalid_request"),
        ('{"jsonrpc":"1.0","id":7,"method":"ping"}', "invalid_request"),
        ('{"jsonrpc":"2.0","id":7}', "invalid_request"),
        ('{"jsonrpc":"2.0","id":7,"method":5}', "invalid_request"),
        ('{"jsonrpc":"2.0","id":{},"method":"ping"}', "invalid_request"),
        ('{"jsonrpc":"2.0","id":[7],"method":"ping"}', "invalid_request"),
        ('{"jsonrpc":"2.0","id":7,"method":"ping","params":3}', "invalid_request"),
    ],
)
async def test_what_is_no_request_is_answered_and_the_socket_lives(socket: Socket, text: str, code: str) -> None:
    await socket.send(text)
    answer = await socket.stray()
    assert refused_by_jsonrpc(answer["error"]).code == code
    assert (await socket.call("ping")).result == {}


async def test_ids_come_back_as_they_were_sent(socket: Socket) -> None:
    for identity in ("text", "", 0, -5, 2**40):
        await socket.send({"jsonrpc": "2.0", "id": identity, "method": "ping"})
        assert (await socket.stray())["id"] == identity


async def test_a_notification_is_done_and_not_answered(socket: Socket, tree: str) -> None:
    params = {"uri": f"{tree}a", "content": 1}
    await socket.send({"jsonrpc": "2.0", "method": "resources/write", "params": params})
    await socket.send({"jsonrpc": "2.0", "method": "nonsense"})
    assert (await socket.call("resources/write", uri=f"{tree}a", content=2))["version"] == 2
    assert socket.strays == []


async def test_a_batch_is_answered_call_by_call(socket: Socket, tree: str) -> None:
    answers = await socket.batch(
        ("resources/write", {"uri": f"{tree}a", "content": 1}),
        ("nonsense", {}),
        ("ping", {}),
        ("resources/read", {"uri": f"{tree}none"}),
    )
    assert answers[0]["version"] == 1
    assert answers[2] == {}
    assert [refused.code for refused in answers if isinstance(refused, Refused)] == [
        "method_not_found",
        "resource_not_found",
    ]


async def test_a_batch_mixes_good_and_bad(socket: Socket) -> None:
    await socket.send([1, {"jsonrpc": "2.0", "id": "good", "method": "ping"}])
    answers = [await socket.stray(), await socket.stray()]
    assert {answer.get("id") for answer in answers} == {None, "good"}


async def test_a_batch_of_notifications_is_answered_by_nothing(socket: Socket) -> None:
    await socket.send([{"jsonrpc": "2.0", "method": "ping"}] * 3)
    assert (await socket.call("ping")).result == {}
    assert socket.strays == []


async def test_a_batch_has_at_most_100_calls(socket: Socket) -> None:
    calls: list[tuple[str, dict[str, Any]]] = [("ping", {})] * 100
    assert await socket.batch(*calls) == [{}] * 100
    await socket.send([{"jsonrpc": "2.0", "id": f"n{n}", "method": "ping"} for n in range(101)])
    assert refused_by_jsonrpc((await socket.stray())["error"]).code == "invalid_request"


async def test_pipelined_writes_apply_in_the_order_sent(socket: Socket, tree: str) -> None:
    waiting = [socket.start("resources/write", uri=f"{tree}a", content=n) for n in range(300)]
    versions = [(await answer)["version"] for answer in waiting]
    assert versions == list(range(1, 301))
    assert (await socket.call("resources/read", uri=f"{tree}a"))["content"] == 299


async def test_binary_json_is_read_or_closed_with_4400(stack: Cluster) -> None:
    async with await stack.socket("alice") as socket:
        await socket.send(b"\xff\x00\xfe")
        try:
            answer = await socket.stray()
        except ConnectionError:
            assert socket.code == 4400
        else:
            assert refused_by_jsonrpc(answer["error"]).code == "parse_error"
