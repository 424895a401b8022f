"""What stays of a request of MCP: its entries with the name of the client, and its spans."""

from typing import Any

import orjson
import pytest
from django.contrib.auth.models import User

from audit_app.database import in_database
from erlmcp_site.transports.mcp.exchange import MAX_NAME, client_name
from telemetry_app.tracing.tracer import tracer
from tests.mcp.door.asking import Answered, message, post, token_of
from tests.stack.outbox import entries
from tests.stack.waiting import PATIENCE, eventually

URI = "resource://example.com/a"
META = "io.modelcontextprotocol/"
TRACE = "0af7651916cd43dd8448eb211c80319c"
SECRET = "erlk_0190a6c2-0000-7000-8000-000000000000_" + "s" * 43


async def entries_of(answer: Answered) -> list[dict[str, Any]]:
    """The entries that a request has left."""
    return [entry for entry in await in_database(entries) if entry.get("request_id") == answer.headers["request-id"]]


def named(client: Any) -> dict[str, Any]:
    return {f"{META}clientInfo": client}


def test_a_name_is_bounded_and_shows_nothing_that_cannot_be_seen() -> None:
    assert client_name({"name": "Desktop 1.0 (é)", "version": "1"}) == "Desktop 1.0 (é)"
    assert client_name({"name": "a\r\nb\x00\x1b[31m\u202ec\ud800"}) == "ab[31mc"
    assert client_name({"name": "x" * 100_000}) == "x" * MAX_NAME
    info: Any
    for info in (None, {}, {"name": None}, {"name": 1}, [], "x"):
        assert client_name(info) == ""


async def test_the_client_stands_in_the_entry_of_what_was_done_and_of_what_was_refused(token: str) -> None:
    client = named({"name": "Agent\n", "version": "1"})
    arguments = {"uri": URI, "content": 1}
    made = await post(message("tools/call", {"name": "resource_create", "arguments": arguments}, **client), token)
    twice = await post(message("tools/call", {"name": "resource_create", "arguments": arguments}, **client), token)
    read = await post(message("resources/read", {"uri": URI}, **client), token)
    missing = await post(message("resources/read", {"uri": f"{URI}/no"}, **client), token)
    mismatch = await post(message("resources/read", {"uri": URI}, **client), token, {"Mcp-Name": "x"})
    unknown = await post(message("no/such", **client), token)
    for answer, action, outcome, code in (
        (made, "resources/create", "success", None),
        (twice, "resources/create", "refused", "already_exists"),
        (read, "resources/read", "success", None),
        (missing, "resources/read", "refused", "resource_not_found"),
        (mismatch, "unknown", "refused", "invalid_request"),
        (unknown, "unknown", "refused", "method_not_found"),
    ):
        (entry,) = await entries_of(answer)
        assert (entry["action"], entry["outcome"], entry["code"]) == (action, outcome, code)
        assert (entry["transport"], entry["user"], entry["details"]["client"]) == ("mcp", "alice", "Agent")
    (entry,) = await entries_of(made)
    assert len(entry["details"]) > 1, "what the change came to stands beside the name"


async def test_a_subscription_names_its_client_when_it_begins_and_when_it_ends(token: str) -> None:
    asked = message(
        "subscriptions/listen", {"notifications": {"resourcesListChanged": True}}, **named({"name": "Agent"})
    )
    answer = await post(asked, token)

    async def both_are_there() -> bool:
        clients = {entry["action"]: entry["details"]["client"] for entry in await entries_of(answer)}
        return clients == {"events/listen": "Agent", "events/end": "Agent"}

    await eventually(both_are_there, PATIENCE, "the entries of a subscription")


async def test_in_the_era_of_sessions_the_client_says_once_who_it_is(token: str) -> None:
    sessions: dict[str, str | None] = {"MCP-Protocol-Version": None, "Mcp-Method": None, "Mcp-Name": None}
    client = {"name": "Agent\u202e", "version": "1"}
    params = {"protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": client}
    begun = await post({"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": params}, token, sessions)
    sessions |= {"Mcp-Session-Id": begun.headers["mcp-session-id"], "MCP-Protocol-Version": "2025-11-25"}
    await post({"jsonrpc": "2.0", "method": "notifications/initialized"}, token, sessions)
    for uri, name in ((URI, "resource_create"), (URI, "resource_create"), (f"{URI}/no", "resource_history")):
        arguments = {"uri": uri, **({"content": 1} if name == "resource_create" else {})}
        call = {"jsonrpc": "2.0", "id": 2, "method": "tools/call", "params": {"name": name, "arguments": arguments}}
        answer = await post(call, token, sessions)
        (entry,) = await entries_of(answer)
        assert (entry["transport"], entry["details"]["client"]) == ("mcp", "Agent"), entry
    refused = await post(call, await token_of("bob"), sessions)
    assert refused.status == 404
    nobody = await post(call, None, sessions)
    assert (nobody.status, nobody.headers["www-authenticate"][:26]) == (401, 'Bearer resource_metadata="')


async def test_a_client_that_does_not_say_who_it_is_leaves_no_name(token: str) -> None:
    for client in (None, {}, {"name": ""}, "text"):
        (entry,) = await entries_of(await post(message("server/discover", **named(client)), token))
        assert "client" not in entry["details"]


async def test_a_refusal_for_want_of_scopes_or_a_token_is_an_entry_of_security(running: dict[str, User]) -> None:
    answer = await post(message("resources/read", {"uri": URI}), await token_of("alice", "audit:read"))
    (entry,) = await entries_of(answer)
    assert (entry["action"], entry["code"], entry["user"]) == ("resources/read", "resource_not_found", "alice")
    for bad in (None, "x"):
        (entry,) = await entries_of(await post(message("resources/read", {"uri": URI}), bad))
        assert (entry["transport"], entry["code"], entry["user"]) == ("mcp", "unauthenticated", "")
        assert (entry["resource_type"], entry["resource_id"]) == ("address", "POST /mcp")


async def test_no_secret_stays_of_what_a_client_says(token: str) -> None:
    said = message("resources/read", {"uri": f"resource://example.com/{SECRET}"}, **named({"name": SECRET}))
    answer = await post(said, token)
    (entry,) = await entries_of(answer)
    assert SECRET not in orjson.dumps(entry).decode()
    assert token not in orjson.dumps(entry).decode()
    assert SECRET not in answer.body.decode()


async def test_a_trace_goes_on_in_the_request(token: str, monkeypatch: pytest.MonkeyPatch) -> None:
    kept: list[Any] = []
    monkeypatch.setattr(tracer, "keeps", lambda *_, **__: True)
    monkeypatch.setattr(tracer, "hand", kept.append)
    asked = message("tools/call", {"name": "resource_delete", "arguments": {"uri": f"{URI}/{SECRET}"}}, id="seven")
    asked["params"]["_meta"] |= {"traceparent": f"00-{TRACE}-b7ad6b7169203331-01", "tracestate": "a=b"}
    answer = await post(asked, token)
    assert answer.headers["traceparent"].split("-")[1] == TRACE
    (walk,) = [one for one in kept if one.trace.trace_id == TRACE]
    span = next(walk.spans())
    assert (span.trace.parent_id, span.trace.state) == ("b7ad6b7169203331", "a=b")
    told = {name: value for name, value in span.attributes.items() if value}
    assert told["erlmcp.transport"] == "mcp"
    assert {
        "mcp.method.name": "tools/call",
        "mcp.protocol.version": "2026-07-28",
        "gen_ai.tool.name": "resource_delete",
        "jsonrpc.request.id": "seven",
    }.items() <= told.items()
    assert SECRET not in str(told) and token not in str(told)
    for bad in ("x", 1, None, {"a": 1}):
        asked["params"]["_meta"]["traceparent"] = bad
        assert (await post(asked, token)).status == 200
