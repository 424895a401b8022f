"""Prompts, collections and overrides: resources that tell agents what there is (docs/prompts.md)."""

from typing import Any

import pytest

from resources_app.hub.hub import hub
from resources_app.prompts import prompts
from resources_app.tool_overrides import ToolOverride, tool_overrides
from tests.pipeline.callers import HERE, HIDDEN, Callers
from tests.pipeline.calls import ask, body, code, entries_of, token_of

pytestmark = pytest.mark.usefixtures("running")

ROOT = "resource://erlmcp/"
GREETING = {
    "description": "Says hello",
    "arguments": [{"name": "who", "required": True}, {"name": "how"}],
    "messages": [{"role": "user", "content": {"type": "text", "text": "Hello {{who}}{{how}}"}}],
}
READING = {
    "arguments": [{"name": "uri"}],
    "messages": [
        {"role": "user", "content": {"type": "text", "text": "Look at this."}},
        {"role": "user", "content": {"type": "resource", "resource": {"uri": "{{uri}}"}}},
    ],
}


async def store(token: str, path: str, content: Any, **params: Any) -> None:
    body(await ask("resources/write", {"uri": ROOT + path, "content": content, **params}, token))


async def names(token: str, method: str = "prompts/list", plural: str = "prompts") -> list[str]:
    return [one["name"] for one in body(await ask(method, {}, token))[plural]]


async def test_a_prompt_is_listed_and_filled() -> None:
    alice = await token_of("alice")
    assert await names(alice) == []
    await store(alice, "prompts/greeting", GREETING, title="Greeting")
    (told,) = body(await ask("prompts/list", {}, alice))["prompts"]
    assert told == {
        "name": "greeting",
        "title": "Greeting",
        "description": "Says hello",
        "arguments": [{"name": "who", "required": True}, {"name": "how", "required": False}],
    }
    filled = await ask("prompts/get", {"name": "greeting", "arguments": {"who": "{{how}}", "how": "!"}}, alice)
    assert body(filled) == {
        "name": "greeting",
        "title": "Greeting",
        "description": "Says hello",
        "messages": [{"role": "user", "content": {"type": "text", "text": "Hello {{how}}!"}}],
    }
    for arguments in ({}, {"who": "a", "else": "b"}, {"who": None}, {"who": ["a"]}, "who"):
        assert code(await ask("prompts/get", {"name": "greeting", "arguments": arguments}, alice)) == "invalid_params"
    assert code(await ask("prompts/get", {"name": "farewell"}, alice)) == "resource_not_found"
    assert code(await ask("prompts/get", {"name": "../x"}, alice)) == "invalid_uri"


async def test_a_change_is_seen_at_once_and_a_deletion_too() -> None:
    alice = await token_of("alice")
    for number in range(5):
        await store(alice, "prompts/a", GREETING | {"title": f"Title {number}"})
        (told,) = body(await ask("prompts/list", {}, alice))["prompts"]
        assert told["title"] == f"Title {number}"
    body(await ask("resources/delete", {"uri": f"{ROOT}prompts/a"}, alice))
    assert await names(alice) == []
    assert code(await ask("prompts/get", {"name": "a"}, alice)) == "resource_not_found"


async def test_nothing_is_read_while_nothing_changes() -> None:
    alice = await token_of("alice")
    await store(alice, "prompts/a", GREETING)
    assert await names(alice) == ["a"]
    held = await prompts.find()
    body(await ask("resources/write", {"uri": HERE, "content": 1}, alice))
    assert await names(alice) == ["a"]
    assert await prompts.find() is held
    await store(alice, "prompts/b", GREETING)
    assert await names(alice) == ["a", "b"]
    assert await prompts.find() is not held


async def test_pages_hold_each_once() -> None:
    alice = await token_of("alice")
    for number in range(5):
        await store(alice, f"prompts/p{number}", GREETING)
    first = body(await ask("prompts/list", {"limit": 3}, alice))
    rest = body(await ask("prompts/list", {"limit": 3, "cursor": first["next_cursor"]}, alice))
    assert [one["name"] for page in (first, rest) for one in page["prompts"]] == [f"p{n}" for n in range(5)]
    assert rest["next_cursor"] is None
    assert code(await ask("prompts/list", {"cursor": "?"}, alice)) == "invalid_params"


async def test_only_what_may_be_read_is_there(callers: Callers) -> None:
    for name in ("open", "shut"):
        await store(callers.tokens["alice"], f"prompts/{name}", GREETING)
    assert await names(callers.tokens["new"]) == []
    await callers.grant(f"{ROOT}prompts/*", "read")
    await callers.grant(f"{ROOT}prompts/shut", "read", effect="deny")
    assert await names(callers.tokens["new"]) == ["open"]
    given = {"arguments": {"who": "x"}}
    assert await callers.code("new", "prompts/get", name="open", **given) is None
    shut = await callers.ask("new", "prompts/get", name="shut", **given)
    never = await callers.ask("new", "prompts/get", name="never", **given)
    assert code(shut) == code(never) == "resource_not_found"


async def test_an_embedded_resource_is_read_with_the_rights_of_its_caller(callers: Callers) -> None:
    await store(callers.tokens["alice"], "prompts/look", READING)
    await callers.grant(f"{ROOT}prompts/*", "read")
    await callers.grant(f"{HERE}/*", "read")
    await callers.grant(HIDDEN, "read", effect="deny")
    reply = await callers.ask("new", "prompts/get", name="look", arguments={"uri": f"{HERE}/a"})
    assert body(reply)["messages"][1]["content"] == {
        "type": "resource",
        "resource": {"uri": f"{HERE}/a", "mimeType": "application/json", "text": "1"},
    }
    (entry,) = await entries_of(reply)
    assert (entry["resource_type"], entry["resource_id"]) == ("prompt", "look")
    assert entry["details"] == {"embedded": [f"{HERE}/a"]}
    hidden = await callers.ask("new", "prompts/get", name="look", arguments={"uri": HIDDEN})
    assert code(hidden) == "resource_not_found"
    (entry,) = await entries_of(hidden)
    assert entry["details"]["embedded"] == [HIDDEN]
    assert await callers.code("new", "prompts/get", name="look", arguments={"uri": f"{HERE}/c"}) == "resource_not_found"
    assert await callers.code("new", "prompts/get", name="look", arguments={"uri": "nowhere"}) == "invalid_uri"
    assert await callers.code("alice", "prompts/get", name="look", arguments={"uri": HIDDEN}) is None


async def test_what_is_no_definition_is_left_out_and_told_once(caplog: pytest.LogCaptureFixture) -> None:
    alice = await token_of("alice")
    await store(alice, "prompts/good", GREETING)
    await store(alice, "prompts/bad", {"messages": [{"role": "secret-word"}]})
    await store(alice, "prompts/deep/er", GREETING)
    body(await ask("resources/write", {"uri": f"{ROOT}prompts/words", "text": "Hello"}, alice))
    body(await ask("resources/write", {"uri": f"{ROOT}prompts/large", "content": "x" * 300_000}, alice))
    for _ in range(3):
        assert await names(alice) == ["good"]
        await store(alice, "prompts/good", GREETING)
    told = [record.getMessage() for record in caplog.records if record.name == "resources_app.definitions"]
    assert sorted(line.partition(" is left out: ")[0] for line in told) == [
        f"{ROOT}prompts/{name}" for name in ("bad", "deep/er", "large", "words")
    ]
    assert "secret-word" not in "".join(told)
    refused = await ask("prompts/get", {"name": "bad"}, alice)
    assert code(refused) == "invalid_params" and refused.refusal is not None
    assert "messages/0" in refused.refusal.message
    caplog.clear()
    await store(alice, "prompts/bad", GREETING)
    assert await names(alice) == ["bad", "good"]


async def test_collections_are_listed_as_templates() -> None:
    alice = await token_of("alice")
    await store(alice, "collections/boards", {"template": "resource://e.com/{a}/{b}", "mime_type": "text/plain"})
    await store(alice, "collections/broken", {"template": "resource://e.com/{a"})
    assert body(await ask("resources/templates", {}, alice)) == {
        "templates": [
            {
                "name": "boards",
                "template": "resource://e.com/{a}/{b}",
                "title": "",
                "description": "",
                "mime_type": "text/plain",
            }
        ],
        "next_cursor": None,
    }
    assert await names(await token_of("new"), "resources/templates", "templates") == []


async def test_an_override_holds_until_it_is_taken_back() -> None:
    alice = await token_of("alice")
    assert (await tool_overrides.find()).known == {}
    await store(alice, "tools/resource_delete", {"enabled": False})
    await store(alice, "tools/resource_search", {"title": "Look"})
    await store(alice, "tools/other", {"enabled": "no"})
    assert (await tool_overrides.find(hub.position)).known == {
        "resource_delete": ToolOverride(enabled=False),
        "resource_search": ToolOverride(title="Look"),
    }
    body(await ask("resources/delete", {"uri": f"{ROOT}tools/resource_delete"}, alice))
    assert "resource_delete" not in (await tool_overrides.find(hub.position)).known
