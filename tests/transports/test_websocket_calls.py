"""Calls over a socket: answers, batches, order, and what becomes of messages that are none."""

import asyncio
import contextlib
from typing import Any

import pytest
from websockets.exceptions import ConnectionClosed

from tests.transports.websocket_server import Server

pytestmark = pytest.mark.django_db(transaction=True)

NOTE = "resource://test.local/notes/1"


def call(number: Any, method: str, **params: Any) -> dict[str, Any]:
    return {"jsonrpc": "2.0", "id": number, "method": method, "params": params}


async def test_a_resource_is_written_and_read(server: Server) -> None:
    async with server.connect() as client:
        written = await client.result("resources/write", uri=NOTE, content={"text": "hello"})
        read = await client.result("resources/read", uri=NOTE)
        assert written["version"] == 1
        assert read["content"] == {"text": "hello"}


async def test_a_ping_is_answered_with_nothing(server: Server) -> None:
    async with server.connect() as client:
        assert await client.result("ping") == {}


async def test_writes_apply_in_the_order_sent(server: Server) -> None:
    async with server.connect() as client:
        for number in range(500):
            await client.send(call(number, "resources/write", uri=NOTE, content=number))
        answers = [await client.receive() for _ in range(500)]
        assert {answer["id"]: answer["result"]["version"] for answer in answers} == {n: n + 1 for n in range(500)}
        assert (await client.result("resources/read", uri=NOTE))["content"] == 499


async def test_writes_keep_their_order_while_the_caller_changes(server: Server) -> None:
    async with server.connect() as client:
        session = (await client.result("sessions/list"))["sessions"][0]["id"]
        sent = 0
        for label in range(20):
            await server.ask("sessions/update", {"session": session, "label": str(label)}, as_user="admin")
            for _ in range(20):
                await client.send(call(sent, "resources/write", uri=NOTE, content=sent))
                sent += 1
        answers = [await client.receive() for _ in range(sent)]
        assert {answer["id"]: answer["result"]["version"] for answer in answers} == {n: n + 1 for n in range(sent)}


async def test_a_batch_has_one_answer_without_the_notifications(server: Server) -> None:
    async with server.connect() as client:
        notification = {"jsonrpc": "2.0", "method": "resources/write", "params": {"uri": NOTE, "content": 1}}
        await client.send([notification, call(1, "resources/write", uri=NOTE, content=2), call("p", "ping"), 7])
        answers = {answer["id"]: answer for answer in await client.receive()}
        assert answers.keys() == {1, "p", None}
        assert answers[1]["result"]["version"] == 2
        assert answers["p"]["result"] == {}
        assert answers[None]["error"]["code"] == -32600


async def test_notifications_have_no_answer(server: Server) -> None:
    async with server.connect() as client:
        await client.send([{"jsonrpc": "2.0", "method": "ping"}])
        await client.send({"jsonrpc": "2.0", "method": "nonsense"})
        await client.send({"jsonrpc": "2.0", "method": "resources/write", "params": {"uri": NOTE, "content": 1}})
        assert await client.result("ping") == {}
        assert (await client.result("resources/write", uri=NOTE, content=2))["version"] == 2
        assert client.notices == []


@pytest.mark.parametrize(
    ("message", "number"),
    [
        ("nonsense", -32700),
        ("[]", -32600),
        ("1", -32600),
        ('{"jsonrpc":"2.0","method":1}', -32600),
        ("[" * 1000 + "]" * 1000, -32602),
        ('{"a":' * 1000 + "1" + "}" * 1000, -32602),
        ("1" * 5000, -32602),
        ("[" + ",".join(["1"] * 101) + "]", -32600),
    ],
)
async def test_what_is_no_call_is_answered_and_the_socket_lives(server: Server, message: str, number: int) -> None:
    async with server.connect() as client:
        await client.send(message)
        answer = await client.receive()
        assert answer["id"] is None
        assert answer["error"]["code"] == number
        assert answer["error"]["data"]["request_id"]
        assert await client.result("ping") == {}


async def test_calls_may_come_as_binary_frames(server: Server) -> None:
    async with server.connect() as client:
        await client.connection.send(b'{"jsonrpc":"2.0","id":1,"method":"ping"}')
        assert await client.answer(1) == {"jsonrpc": "2.0", "id": 1, "result": {}}
        await client.connection.send(b"\xff\xff")
        assert (await client.receive())["error"]["code"] == -32700


@pytest.mark.parametrize(
    ("method", "params", "number", "code"),
    [
        ("nonsense", {}, -32601, "method_not_found"),
        ("resources/read", {}, -32602, "invalid_params"),
        ("resources/read", {"uri": "resource://test.local/none"}, -32004, "resource_not_found"),
        ("resources/read", {"uri": "resource://test.local/../etc"}, -32602, "invalid_uri"),
        ("sessions/get", {"session": "none"}, -32004, "resource_not_found"),
    ],
)
async def test_a_refusal_has_the_number_and_code_of_the_contract(
    server: Server, method: str, params: dict[str, Any], number: int, code: str
) -> None:
    async with server.connect() as client:
        error = (await client.call(method, **params))["error"]
        assert (error["code"], error["data"]["code"]) == (number, code)
        assert error["data"]["category"] in {"retryable", "recoverable", "fatal"}
        assert error["data"]["request_id"]


async def test_who_may_only_read_is_refused_a_write(server: Server) -> None:
    async with server.connect(await server.token("bob")) as client:
        assert (await client.call("resources/write", uri=NOTE, content=1))["error"]["code"] == -32003


async def test_a_slow_answer_does_not_hold_up_the_others(server: Server) -> None:
    async with server.connect() as client:
        subscription = await client.result("subscriptions/create", uri="resource://test.local/*")
        poll = call("slow", "events/poll", subscription=subscription["id"], timeout_ms=5000)
        await client.send(poll)
        assert await client.result("ping") == {}
        await client.result("resources/write", uri=NOTE, content=1)
        answer = await client.answer("slow") if not client.notices else client.notices.pop()
        assert [event["subject"] for event in answer["result"]["events"]] == [NOTE]


async def test_a_message_over_the_limit_closes_with_1009(server: Server) -> None:
    async with server.connect() as client:
        await client.send('"' + "x" * 70_000 + '"')
        assert await client.closed() == 1009


async def test_a_flood_of_garbage_closes_with_4429(server: Server) -> None:
    async with server.connect() as client:
        answers = 0
        with contextlib.suppress(ConnectionClosed):
            for _ in range(150):
                await client.send("garbage")
        with contextlib.suppress(ConnectionClosed):
            while True:
                await client.receive()
                answers += 1
                # what was answered before the end is there to be received after it
                with contextlib.suppress(ConnectionClosed):
                    await client.send("garbage")
        assert answers >= 100
        assert await client.closed() == 4429


async def test_more_messages_than_the_rate_are_read_later_and_none_is_lost(server: Server, settings: Any) -> None:
    settings.WS_MESSAGES_PER_SECOND = 100
    async with server.connect() as client:
        started = asyncio.get_running_loop().time()
        for number in range(250):
            await client.send(call(number, "ping"))
        answers = [await client.receive() for _ in range(250)]
        assert [answer["id"] for answer in answers] == list(range(250))
        assert asyncio.get_running_loop().time() - started > 1.0
