"""What is wrong with a request of the modern era, in the order in which that is told (design page mcp.md, R1, R2)."""

import base64
from collections.abc import Iterator
from typing import Any

import orjson
import pytest
from mcp.shared.exceptions import MCPError

from erlmcp_site.methods.tools import registry
from erlmcp_site.methods.tools.registry import Tool
from tests.mcp.door.asking import VERSION, ask, message, post
from tests.pipeline.calls import ask as ask_pipeline

META = "io.modelcontextprotocol/"
URI = "resource://example.com/a"
NO_IDS: list[Any] = [None, True, 1.5, [], {}]


async def read_something(exchange: Any, arguments: Any) -> dict[str, Any]:
    if arguments.get("sample"):
        raise MCPError(-32021, "Client did not declare sampling", {"requiredCapabilities": {"sampling": {}}})
    return {"content": [{"type": "text", "text": str(arguments.get("region"))}]}


@pytest.fixture
def mirroring(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A tool one of whose arguments is said in a header, too, and that may need what the client cannot do."""
    region = {"type": "string", "x-mcp-header": "Region"}
    taken = {"type": "object", "properties": {"region": region, "sample": {"type": "boolean"}}}
    tool = Tool(name="mirror", title="Mirror", description="", input=taken, run=read_something)
    monkeypatch.setitem(registry.TOOLS, "mirror", tool)
    yield


def discover(**more: Any) -> dict[str, Any]:
    return message("server/discover", **more)


def wrapped(text: str) -> str:
    return f"=?base64?{base64.b64encode(text.encode()).decode()}?="


async def test_what_is_no_json_is_a_parse_error(token: str) -> None:
    for body in (b"", b"{", b"\xff", b"nul", b'{"a":NaN}', b"[" * 100_000, b'{"jsonrpc":"2.0",'):
        answer = await post(body, token)
        assert (answer.status, answer.code, answer.said["id"]) == (400, -32700, None), body[:40]
        assert answer.headers["content-type"] == "application/json"


async def test_what_is_no_single_request_is_invalid(token: str) -> None:
    good = discover()
    bodies: list[Any] = [
        [],
        [good],
        [good, good],
        1,
        "text",
        None,
        {},
        {"jsonrpc": "2.0", "id": 1, "result": {}},
        {"jsonrpc": "2.0", "id": 1, "error": {"code": 1, "message": "x"}},
        good | {"jsonrpc": "1.0"},
        {name: value for name, value in good.items() if name != "jsonrpc"},
        {name: value for name, value in good.items() if name != "method"},
        good | {"method": 1},
        good | {"params": []},
        good | {"params": "x"},
        *(good | {"id": id} for id in NO_IDS),
    ]
    for body in bodies:
        answer = await post(orjson.dumps(body), token)
        assert (answer.status, answer.code) == (400, -32600), body


async def test_an_answer_bears_the_id_of_the_request_as_it_was(token: str) -> None:
    id: Any
    for id in ("", "a", "é", 0, 1, -1, 2**53, "1"):
        for body, status in ((discover(id=id), 200), (message("no/such", id=id), 404)):
            answer = await post(body, token)
            assert (answer.status, answer.said["id"], type(answer.said["id"])) == (status, id, type(id))


async def test_a_request_without_its_envelope_has_invalid_parameters(token: str) -> None:
    full = discover()["params"]["_meta"]
    lacking: list[Any] = [
        None,
        {},
        {"_meta": None},
        {"_meta": []},
        {"_meta": {}},
        {"_meta": {name: value for name, value in full.items() if not name.endswith("/protocolVersion")}},
        {"_meta": {name: value for name, value in full.items() if not name.endswith("/clientCapabilities")}},
    ]
    for params in lacking:
        answer = await post(discover() | {"params": params}, token)
        assert (answer.status, answer.code, answer.said["id"]) == (400, -32602, 1), params
    answer = await post({"jsonrpc": "2.0", "id": 1, "method": "server/discover"}, token)
    assert (answer.status, answer.code) == (400, -32602)


async def test_a_client_need_not_say_who_it_is(token: str) -> None:
    body = discover()
    del body["params"]["_meta"][f"{META}clientInfo"]
    assert (await post(body, token)).status == 200


async def test_headers_that_say_something_else_than_the_body_are_a_mismatch(token: str) -> None:
    reads = message("resources/read", {"uri": URI})
    for body, headers in (
        (discover(), {"Mcp-Method": None}),
        (discover(), {"Mcp-Method": "tools/list"}),
        (discover(), {"Mcp-Method": "SERVER/DISCOVER"}),
        (discover(), {"Mcp-Method": ""}),
        (discover(**{f"{META}protocolVersion": "2025-11-25"}), {}),
        (discover(**{f"{META}protocolVersion": "v999"}), {}),
        (discover(), {"MCP-Protocol-Version": "v999"}),
        (discover(), {"MCP-Protocol-Version": f"{VERSION} x"}),
        (reads, {"Mcp-Name": None}),
        (reads, {"Mcp-Name": ""}),
        (reads, {"Mcp-Name": f"{URI}b"}),
        (reads, {"Mcp-Name": URI.upper()}),
        (reads, {"Mcp-Name": "=?base64?!!!?="}),
        (reads, {"Mcp-Name": wrapped(URI)[:-4] + "A?="}),
        (reads, {"Mcp-Name": wrapped(f"{URI}b")}),
        (message("tools/call", {"name": "resource_search", "arguments": {}}), {"Mcp-Name": "resource_delete"}),
    ):
        answer = await post(body, token, headers)
        assert (answer.status, answer.code, answer.said["id"]) == (400, -32020, 1), headers


async def test_a_header_that_comes_twice_is_a_mismatch(token: str) -> None:
    reads = message("resources/read", {"uri": URI})
    for name, value in (("MCP-Protocol-Version", VERSION), ("Mcp-Method", "resources/read"), ("Mcp-Name", URI)):
        for second in (value, "other", ""):
            answer = await post(reads, token, extra=[(name, second)])
            assert (answer.status, answer.code) == (400, -32020), (name, second)


async def test_a_name_may_be_wrapped_and_names_of_headers_have_any_case(token: str) -> None:
    await ask_pipeline("resources/create", {"uri": URI, "content": 1}, token)
    for headers in (
        {"Mcp-Name": wrapped(URI)},
        {"Mcp-Name": None, "MCP-NAME": URI},
        {"Mcp-Method": None, "mcp-METHOD": "resources/read"},
    ):
        assert (await post(message("resources/read", {"uri": URI}), token, headers)).status == 200, headers


async def test_a_version_that_is_not_spoken_is_answered_with_those_that_are(token: str) -> None:
    for version in ("v999.0.0", "2026-07-29", "2024-11-05", "2026-07"):
        body = discover(**{f"{META}protocolVersion": version})
        answer = await post(body, token, {"MCP-Protocol-Version": version})
        assert (answer.status, answer.code, answer.said["id"]) == (400, -32022, 1)
        assert answer.said["error"]["data"] == {"supported": [VERSION], "requested": version}


async def test_what_comes_first_is_told_first(token: str) -> None:
    unsupported: Any = {f"{META}protocolVersion": "v999"}
    known = {"MCP-Protocol-Version": "v999"}
    for body, headers, code in (
        (orjson.dumps([]), {"Mcp-Method": None}, -32600),
        (discover() | {"params": {}}, {"Mcp-Method": "x"}, -32602),
        (discover(**unsupported), known | {"Mcp-Method": "x"}, -32020),
        (message("no/such", **unsupported), known, -32022),
        (message("no/such", {"uri": 1}), {}, -32601),
    ):
        assert (await post(body, token, headers)).code == code


async def test_a_method_that_the_era_does_not_have_is_not_found(token: str) -> None:
    for method in (
        *("no/such", "", "SERVER/DISCOVER", "initialize", "ping", "logging/setLevel", "resources/subscribe"),
        *("resources/unsubscribe", "tasks/get", "sampling/createMessage", "roots/list", "notifications/cancelled"),
    ):
        answer = await post(message(method), token)
        assert (answer.status, answer.code, answer.said["id"]) == (404, -32601, 1), method


@pytest.mark.usefixtures("mirroring")
async def test_what_takes_more_than_the_client_can_is_refused_with_what_it_takes(token: str) -> None:
    answer = await post(message("tools/call", {"name": "mirror", "arguments": {"sample": True}}), token)
    assert (answer.status, answer.code) == (400, -32021)
    assert answer.said["error"]["data"]["requiredCapabilities"] == {"sampling": {}}


async def test_a_notification_is_taken_without_an_answer(token: str) -> None:
    for method in ("notifications/cancelled", "notifications/initialized", "no/such"):
        answer = await post({"jsonrpc": "2.0", "method": method, "params": {"requestId": 1}}, token)
        assert (answer.status, answer.body) == (202, b"")
        assert "content-type" not in answer.headers
    assert (await post({"jsonrpc": "1.0", "method": "x"}, token)).code == -32600


async def test_other_verbs_are_not_allowed(token: str) -> None:
    own = [("Authorization", f"Bearer {token}"), ("MCP-Protocol-Version", VERSION), ("Accept", "text/event-stream")]
    for verb in ("GET", "DELETE", "PUT", "PATCH", "HEAD", "OPTIONS"):
        answer = await ask(verb, "/mcp", own)
        assert (answer.status, answer.headers["allow"]) == (405, "POST"), verb


async def test_a_session_means_nothing(token: str) -> None:
    for session in ("", "x", "00000000-0000-0000-0000-000000000000", "é" * 1000):
        answer = await post(discover(), token, {"Mcp-Session-Id": session})
        assert answer.status == 200
        assert "mcp-session-id" not in answer.headers


@pytest.mark.usefixtures("mirroring")
async def test_arguments_that_stand_in_headers_are_the_same_in_both(token: str) -> None:
    for arguments, lines, right in (
        ({"region": "eu"}, [("Mcp-Param-Region", "eu")], True),
        ({"region": "eu"}, [("mcp-param-REGION", wrapped("eu"))], True),
        ({"region": "é"}, [("Mcp-Param-Region", wrapped("é"))], True),
        ({}, [], True),
        ({"region": None}, [], True),
        ({}, [("Mcp-Param-Other", "x")], True),
        ({"region": "eu"}, [], False),
        ({"region": "eu"}, [("Mcp-Param-Region", "us")], False),
        ({"region": "eu"}, [("Mcp-Param-Region", "EU")], False),
        ({"region": "eu"}, [("Mcp-Param-Region", "=?base64?ZXU?=")], False),
        ({"region": "eu"}, [("Mcp-Param-Region", "eu"), ("Mcp-Param-Region", "eu")], False),
        ({"region": "a,b"}, [("Mcp-Param-Region", "a"), ("Mcp-Param-Region", "b")], False),
        ({}, [("Mcp-Param-Region", "eu")], False),
    ):
        answer = await post(message("tools/call", {"name": "mirror", "arguments": arguments}), token, extra=lines)
        assert answer.status == (200 if right else 400), (arguments, lines)
        if not right:
            assert answer.code == -32020
        elif arguments.get("region") is not None:
            assert answer.said["result"]["content"][0]["text"] == arguments["region"]


async def test_a_client_has_to_accept_both_forms_of_an_answer(token: str) -> None:
    for accept, status in {
        "application/json, text/event-stream": 200,
        "text/event-stream;q=0.5 , Application/JSON": 200,
        "*/*": 200,
        "application/*, text/*": 200,
        "application/json": 406,
        "text/event-stream": 406,
        "text/html": 406,
        "": 406,
    }.items():
        assert (await post(discover(), token, {"Accept": accept})).status == status, accept
    assert (await post(discover(), token, {"Accept": None})).status == 406


async def test_a_body_has_to_be_json_by_its_type(token: str) -> None:
    for kind, status in {
        "application/json": 200,
        "application/json; charset=utf-8": 200,
        "Application/JSON": 200,
        "application/json; charset=utf-16": 400,
        "application/jsonp": 400,
        "text/plain": 400,
        "multipart/form-data; boundary=x": 400,
    }.items():
        assert (await post(discover(), token, {"Content-Type": kind})).status == status, kind
    assert (await post(discover(), token, {"Content-Type": None})).status == 400
    assert (await post(discover(), token, {"Content-Encoding": "gzip"})).status == 400


async def test_headers_that_smuggle_or_never_end_are_only_headers_that_do_not_match(token: str) -> None:
    reads = message("resources/read", {"uri": URI})
    for value in (
        f"{URI}\r\nX: y",
        f"{URI}\n",
        f"{URI}\x00",
        "x" * 1_000_000,
        "é" * 10_000,
        f"=?base64?{'A' * 400_000}?=",
    ):
        for name in ("Mcp-Name", "Mcp-Method"):
            answer = await post(reads, token, {name: value})
            assert (answer.status, answer.code) == (400, -32020)
            assert len(answer.body) < 1000
            assert not any("\r" in told or "\n" in told for told in answer.headers.values())
    for lines in (
        [("Transfer-Encoding", "chunked")],
        [("X-HTTP-Method-Override", "DELETE")],
        [("X-Forwarded-Host", "evil")],
    ):
        assert (await post(discover(), token, extra=lines)).status == 200
