"""What cannot be read, and handshakes that are refused, leave exactly one entry each (quality 17)."""

from collections.abc import Mapping
from typing import Any

import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus

from tests.contract.left_entries import next_agent, only_entry
from tests.stack.cluster import Cluster
from tests.stack.rest import Rest


@pytest.mark.parametrize(
    ("verb", "path", "options", "code", "action"),
    [
        ("POST", "auth/login", {"content": b"{"}, "parse_error", "auth/login"),
        ("POST", "auth/login", {"content": b"[]"}, "invalid_request", "auth/login"),
        ("PUT", "resources/example.com/a", {"content": b"{"}, "parse_error", "resources/write"),
        ("PUT", "resources/example.com/a", {"content": b"x" * 3_000_000}, "too_large", "resources/write"),
        ("PATCH", "resources/example.com/a", {"content": b"{}"}, "unsupported_media_type", "resources/patch"),
        ("GET", "resources/example.com/a?raw=maybe", {}, "invalid_params", "resources/read"),
        ("POST", "resources/example.com/a", {}, "method_not_allowed", "unknown"),
        ("DELETE", "auth/login", {}, "method_not_allowed", "unknown"),
        ("GET", "nothing/here", {}, "method_not_found", "unknown"),
        ("GET", "resources", {"headers": {"Host": "evil.example"}}, "invalid_request", "unknown"),
        ("GET", "events/stream?uri=nowhere", {}, "invalid_uri", "events/stream"),
    ],
)
async def test_what_cannot_be_read_leaves_one_entry_of_its_caller(
    stack: Cluster, verb: str, path: str, options: dict[str, Any], code: str, action: str
) -> None:
    for user in ("bob", None):
        agent = next_agent()
        async with Rest(stack.nodes[0].base, stack.token(user) if user else None) as rest:
            more = options | {"headers": {"User-Agent": agent, **options.get("headers", {})}}
            answer = await rest.request(verb, path, **more)
        if action == "events/stream" and user is None:
            code = "unauthenticated"
        assert answer.json()["code"] == code
        entry = await only_entry(stack, agent, action, code)
        assert (entry["user"], entry["code"], entry["outcome"]) == (user or "", code, "refused")
        assert entry["transport"] == ("sse" if action == "events/stream" else "rest")
        if action != "events/stream":
            address = f"{verb} /api/v1/{path.partition('?')[0]}"
            assert (entry["resource_type"], entry["resource_id"]) == ("address", address)
        assert entry["request_id"] == answer.headers["request-id"]


@pytest.mark.parametrize(
    ("text", "code", "action"),
    [
        ("{", "parse_error", "unknown"),
        ("[]", "invalid_request", "unknown"),
        ('{"jsonrpc":"1.0","id":1,"method":"ping"}', "invalid_request", "unknown"),
        ('{"jsonrpc":"2.0","id":1,"method":"no/such"}', "method_not_found", "no/such"),
        ('{"jsonrpc":"2.0","id":1,"method":"auth/authenticate","params":{}}', "invalid_params", "auth/authenticate"),
    ],
)
async def test_a_message_that_is_no_call_leaves_one_entry_of_its_caller(
    stack: Cluster, text: str, code: str, action: str
) -> None:
    agent = next_agent()
    headers = {"Authorization": f"Bearer {stack.token('bob')}", "User-Agent": agent}
    async with _connect(stack, headers) as socket:
        await socket.send(text)
        assert code in str(await socket.recv())
    entry = await only_entry(stack, agent, action, code, refused=True)
    assert (entry["user"], entry["code"], entry["transport"]) == ("bob", code, "websocket")
    assert entry["session_id"]


async def test_a_message_that_is_too_large_leaves_one_entry(stack: Cluster) -> None:
    agent = next_agent()
    headers = {"Authorization": f"Bearer {stack.token('bob')}", "User-Agent": agent}
    async with _connect(stack, headers) as socket:
        await socket.send("x" * 70_000)
        await socket.wait_closed()
    entry = await only_entry(stack, agent, "unknown", "too_large")
    assert (entry["user"], entry["code"]) == ("bob", "too_large")


@pytest.mark.parametrize(
    ("path", "headers", "status", "code", "action"),
    [
        ("/ws/v1", {"Origin": "https://evil.example"}, 403, "forbidden", "auth/authenticate"),
        ("/ws/v1", {}, 401, "unauthenticated", "auth/authenticate"),
        ("/ws/v1", {"Authorization": "Bearer a.b.c"}, 401, "unauthenticated", "auth/authenticate"),
        ("/ws/v2", {}, 404, "method_not_found", "unknown"),
    ],
)
async def test_a_refused_handshake_leaves_one_entry(
    stack: Cluster, path: str, headers: dict[str, str], status: int, code: str, action: str
) -> None:
    agent = next_agent()
    with pytest.raises(InvalidStatus) as refused:
        async with _connect(stack, headers | {"User-Agent": agent}, path):
            pass
    assert refused.value.response.status_code == status
    entry = await only_entry(stack, agent, action, code)
    assert (entry["code"], entry["transport"], entry["source_ip"]) == (code, "websocket", "127.0.0.1")


def _connect(stack: Cluster, headers: Mapping[str, str], path: str = "/ws/v1") -> connect:
    told = dict(headers)
    agent = told.pop("User-Agent")
    url = stack.nodes[0].base.replace("http", "ws") + path
    return connect(url, additional_headers=told, user_agent_header=agent, proxy=None, open_timeout=20)
