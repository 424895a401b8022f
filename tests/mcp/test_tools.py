"""What agents do with tools: the same methods, rights and entries as everybody's (design page mcp.md, R7)."""

import re
from typing import Any

import orjson
from jsonschema_rs import Draft202012Validator, meta

from tests.stack.cluster import Cluster
from tests.stack.mcp_client import Mcp
from tests.stack.waiting import PATIENCE, eventually

NAMES = ["resource_create", "resource_update", "resource_delete", "resource_search", "resource_history"]


async def schemas(client: Mcp, name: str) -> dict[str, Any]:
    tools = (await client.ask("tools/list"))["tools"]
    return next(tool for tool in tools if tool["name"] == name)


async def done(client: Mcp, name: str, /, **arguments: Any) -> dict[str, Any]:
    """The structured content of a tool that did what it was asked, which fits its schema and stands as text, too."""
    result = await client.tool(name, **arguments)
    assert not result.get("isError"), result
    value: dict[str, Any] = result["structuredContent"]
    Draft202012Validator((await schemas(client, name))["outputSchema"]).validate(value)
    assert orjson.loads(result["content"][0]["text"]) == value
    return value


async def failure(client: Mcp, name: str, /, **arguments: Any) -> str:
    """What a tool says that could not do what it was asked."""
    result = await client.tool(name, **arguments)
    assert result["isError"] is True and "structuredContent" not in result, result
    text: str = result["content"][0]["text"]
    return text


async def test_tools_are_listed_in_one_order_with_schemas_and_hints(alice: Mcp) -> None:
    tools = (await alice.ask("tools/list"))["tools"]
    assert [tool["name"] for tool in tools] == NAMES
    for tool in tools:
        assert re.fullmatch(r"[A-Za-z0-9_.-]{1,128}", tool["name"])
        assert tool["inputSchema"]["type"] == tool["outputSchema"]["type"] == "object"
        assert meta.is_valid(tool["inputSchema"]) and meta.is_valid(tool["outputSchema"])
    hints = {tool["name"]: tool["annotations"] for tool in tools}
    assert [hints[name]["readOnlyHint"] for name in NAMES] == [False, False, False, True, True]
    assert hints["resource_delete"]["destructiveHint"] and hints["resource_delete"]["idempotentHint"]


async def test_a_resource_lives_by_tools_alone(alice: Mcp, tree: str) -> None:
    uri = f"{tree}a"
    made = await done(alice, "resource_create", uri=uri, content={"a": 1, "b": 1}, title="A thing")
    assert (made["uri"], made["version"], made["title"]) == (uri, 1, "A thing")
    changed = await done(alice, "resource_update", uri=uri, content={"a": 2, "b": 1}, base_version=1)
    patched = await done(alice, "resource_update", uri=uri, patch={"b": 2})
    assert (changed["version"], patched["version"]) == (2, 3)
    read = (await alice.ask("resources/read", {"uri": uri}))["contents"]
    assert orjson.loads(read[0]["text"]) == {"a": 2, "b": 2}
    past = await done(alice, "resource_history", uri=uri, limit=2)
    assert [one["version"] for one in past["versions"]] == [3, 2] and past["next_cursor"]
    assert (await done(alice, "resource_delete", uri=uri))["version"] == 4
    assert (await alice.error("resources/read", {"uri": uri}))["code"] == -32602


async def test_what_was_changed_is_linked(alice: Mcp, tree: str) -> None:
    result = await alice.tool("resource_create", uri=f"{tree}a", text="hello", name="greeting")
    (link,) = [block for block in result["content"] if block["type"] == "resource_link"]
    assert (link["uri"], link["name"], link["mimeType"]) == (f"{tree}a", "greeting", "text/plain")


async def test_conflicts_are_settled_by_rule_and_told_where_they_are_not(alice: Mcp, tree: str) -> None:
    uri = f"{tree}a"
    await done(alice, "resource_create", uri=uri, content={"a": 1, "b": 1})
    await done(alice, "resource_update", uri=uri, content={"a": 2, "b": 1})
    merged = await done(
        alice, "resource_update", uri=uri, content={"a": 1, "b": 9}, base_version=1, on_conflict="merge"
    )
    assert (merged["version"], merged["resolution"]) == (3, "merge")
    said = await failure(alice, "resource_update", uri=uri, content={"a": 7}, base_version=1, on_conflict="reject")
    assert "version_conflict" in said and '"current_version":3' in said


async def test_a_change_under_a_key_is_made_once(alice: Mcp, tree: str) -> None:
    uri = f"{tree}a"
    first = await done(alice, "resource_create", uri=uri, content=1, idempotency_key=f"key of {uri}".replace(" ", "-"))
    again = await done(alice, "resource_create", uri=uri, content=1, idempotency_key=f"key of {uri}".replace(" ", "-"))
    assert first == again


async def test_what_an_agent_may_not_is_told_as_a_failure_of_the_tool(bob: Mcp, alice: Mcp, tree: str) -> None:
    uri = f"{tree}a"
    await done(alice, "resource_create", uri=uri, content=1)
    assert "forbidden" in await failure(bob, "resource_update", uri=uri, content=2)
    assert "forbidden" in await failure(bob, "resource_update", uri=f"{tree}none", content=2)


async def test_an_update_makes_nothing(alice: Mcp, tree: str) -> None:
    assert "version_conflict" in await failure(alice, "resource_update", uri=f"{tree}none", content=2)
    assert (await alice.error("resources/read", {"uri": f"{tree}none"}))["data"]["uri"] == f"{tree}none"


async def test_arguments_are_held_to_the_schema(alice: Mcp, tree: str) -> None:
    uri = f"{tree}a"
    assert '"uri" is a required property' in await failure(alice, "resource_create", content=1)
    assert "colour" in await failure(alice, "resource_create", uri=uri, content=1, colour="red")
    assert "base_version" in await failure(alice, "resource_update", uri=uri, content=1, base_version="one")
    assert "either" in await failure(alice, "resource_update", uri=uri, content=1, patch={})
    assert "content" in await failure(alice, "resource_create", uri=uri)
    assert "invalid_uri" in await failure(alice, "resource_create", uri="resource://../x", content=1)


async def test_an_unknown_tool_is_an_error_of_the_protocol(alice: Mcp) -> None:
    error = await alice.error("tools/call", {"name": "resource_explode", "arguments": {}})
    assert error["code"] == -32602 and "resource_explode" in error["message"]


async def test_what_tools_do_and_are_refused_is_in_the_trail(alice: Mcp, bob: Mcp, stack: Cluster, tree: str) -> None:
    uri = f"{tree}a"
    await done(alice, "resource_create", uri=uri, content=1)
    await failure(bob, "resource_delete", uri=uri)
    entries = stack.truth.entries(uri)
    told = {(entry["action"], entry["transport"], entry["outcome"]) for entry in entries}
    assert told == {("resources/create", "mcp", "success"), ("resources/delete", "mcp", "refused")}


async def test_what_an_operator_switches_off_is_not_there(alice: Mcp, stack: Cluster) -> None:
    override = "resource://erlmcp/tools/resource_history"
    off = [name for name in NAMES if name != "resource_history"]
    async with stack.rest("alice") as rest:
        await rest.call("resources/write", uri=override, content={"enabled": False})
        try:
            await eventually(lambda: _lists(alice, off), PATIENCE, "the tool is gone")
            error = await alice.error("tools/call", {"name": "resource_history", "arguments": {"uri": override}})
            assert error["code"] == -32602
            await rest.call("resources/write", uri=override, content={"title": "The past"})
            await eventually(lambda: _lists(alice, NAMES), PATIENCE, "the tool is back")
            assert (await schemas(alice, "resource_history"))["title"] == "The past"
        finally:
            await rest.call("resources/delete", uri=override)


async def _lists(client: Mcp, names: list[str]) -> bool:
    return [tool["name"] for tool in (await client.ask("tools/list"))["tools"]] == names
