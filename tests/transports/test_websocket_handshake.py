"""Opening a socket: with a token in the handshake, or from a page by the first message."""

from typing import Any

import orjson
import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus

from erlmcp_site.transports.websocket import endpoint
from tests.transports.websocket_server import Server

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """For pages that come with a token: this machine may take its time."""
    monkeypatch.setattr(endpoint, "AUTHENTICATION_SECONDS", 60.0)


async def denied(url: str, **headers: str) -> tuple[int, Any, Any]:
    """The status, headers and document with which a handshake is denied."""
    with pytest.raises(InvalidStatus) as denial:
        async with connect(url, additional_headers=headers, proxy=None):
            raise AssertionError("the handshake was accepted")
    response = denial.value.response
    return response.status_code, response.headers, orjson.loads(response.body)


def own(server: Server) -> dict[str, str]:
    return {"Origin": f"http://127.0.0.1:{server.port}"}


async def test_without_a_token_and_an_origin_it_is_401(server: Server) -> None:
    status, headers, problem = await denied(server.url)
    assert (status, problem["code"]) == (401, "unauthenticated")
    assert headers["WWW-Authenticate"].startswith("Bearer")
    assert headers["Content-Type"] == "application/problem+json"
    assert headers["Request-Id"] == problem["request_id"]
    assert int(headers["Log-Offset"]) >= 0


@pytest.mark.parametrize("token", ["nonsense", "a.b.c", "eyJhbGciOiJub25lIn0.e30.", "x" * 6000])
async def test_a_bad_token_is_401(server: Server, token: str) -> None:
    status, headers, problem = await denied(server.url, Authorization=f"Bearer {token}")
    assert (status, problem["code"]) == (401, "unauthenticated")
    assert headers["WWW-Authenticate"] == 'Bearer realm="erlmcp", error="invalid_token"'


async def test_a_token_in_the_query_is_401(server: Server) -> None:
    status, _, _ = await denied(f"{server.url}?token={await server.token()}")
    assert status == 401


@pytest.mark.parametrize("origin", ["http://evil.example.com", "null", "http://127.0.0.1.evil.example.com"])
async def test_a_page_of_another_origin_is_403_whatever_token_it_has(server: Server, origin: str) -> None:
    token = await server.token()
    assert (await denied(server.url, Origin=origin))[0] == 403
    assert (await denied(server.url, Origin=origin, Authorization=f"Bearer {token}"))[0] == 403


async def test_another_path_is_404(server: Server) -> None:
    status, _, problem = await denied(f"ws://127.0.0.1:{server.port}/ws/v2", Authorization="Bearer x")
    assert (status, problem["code"]) == (404, "method_not_found")


async def test_our_subprotocol_is_chosen(server: Server) -> None:
    async with server.connect(subprotocols=["erlmcp.v1"]) as client:
        assert client.connection.subprotocol == "erlmcp.v1"


@pytest.mark.usefixtures("patient")
async def test_a_page_authenticates_by_its_first_message(server: Server) -> None:
    async with server.connect("", headers=own(server)) as client:
        answer = await client.result("auth/authenticate", token=await server.token())
        assert answer["user"] == "alice"
        assert (await client.result("sessions/get", session=answer["session"]))["state"] == "active"


@pytest.mark.usefixtures("patient")
async def test_before_that_only_public_methods_are_answered(server: Server) -> None:
    async with server.connect("", headers=own(server)) as client:
        assert (await client.call("resources/list"))["error"]["code"] == -32001
        tokens = await client.result("auth/login", username="alice", password="correct horse battery")
        assert (await client.call("resources/list"))["error"]["code"] == -32001
        await client.result("auth/authenticate", token=tokens["access"])
        assert await client.result("resources/list")


@pytest.mark.usefixtures("patient")
async def test_calls_sent_right_behind_the_token_are_answered(server: Server) -> None:
    token = await server.token()
    async with server.connect("", headers=own(server)) as client:
        await client.send({"jsonrpc": "2.0", "id": "a", "method": "auth/authenticate", "params": {"token": token}})
        await client.send({"jsonrpc": "2.0", "id": "b", "method": "resources/list"})
        assert "result" in await client.answer("a")
        assert "result" in await client.answer("b")


@pytest.mark.usefixtures("patient")
async def test_a_bad_token_in_the_first_message_closes_with_4401(server: Server) -> None:
    async with server.connect("", headers=own(server)) as client:
        assert (await client.call("auth/authenticate", token="nonsense"))["error"]["code"] == -32001
        assert await client.closed() == 4401


@pytest.mark.usefixtures("patient")
async def test_garbage_before_the_token_closes_with_4400(server: Server) -> None:
    async with server.connect("", headers=own(server)) as client:
        await client.send("garbage")
        assert (await client.receive())["error"]["code"] == -32700
        assert await client.closed() == 4400


async def test_no_token_in_five_seconds_closes_with_4408(server: Server) -> None:
    async with server.connect("", headers=own(server)) as client:
        assert await client.closed() == 4408


async def test_the_session_of_the_handshake_is_used(server: Server) -> None:
    token = await server.token()
    async with server.connect(token) as client:
        session = (await client.result("sessions/create", label="mine"))["id"]
    async with server.connect(token, headers={"Session-Id": session}) as client:
        created = await client.result("subscriptions/create", uri="resource://test.local/*")
        assert (await client.result("auth/authenticate", token=token))["session"] == session
        assert created["id"]
    status, _, problem = await denied(server.url, **{"Authorization": f"Bearer {token}", "Session-Id": "none"})
    assert (status, problem["code"]) == (404, "resource_not_found")


async def test_the_token_of_another_user_is_refused_on_a_socket_that_has_one(server: Server) -> None:
    async with server.connect() as client:
        answer = await client.call("auth/authenticate", token=await server.token("bob"))
        assert answer["error"]["code"] == -32003
        assert await client.closed() == 4403


async def test_a_handshake_that_is_denied_is_no_error_of_the_server(
    server: Server, caplog: pytest.LogCaptureFixture
) -> None:
    for _ in range(3):
        assert (await denied(server.url, Authorization="Bearer nonsense"))[0] == 401
    await server.has_connections(0)
    assert not [
        record for record in caplog.records if record.name.startswith("uvicorn") and record.levelname == "ERROR"
    ]
