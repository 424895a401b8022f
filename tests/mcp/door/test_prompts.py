"""Prompts, templates and completion as clients of MCP see them (design page mcp.md, R6, R7)."""

from collections.abc import Mapping
from typing import Any

import pytest
from django.contrib.auth.models import User

from tests.mcp.door.asking import message, post, token_of
from tests.mcp.fixture_app.media import text
from tests.mcp.fixture_app.stored import COLLECTIONS, PROMPTS
from tests.pipeline.calls import ask, body

CAPABILITIES = "io.modelcontextprotocol/clientCapabilities"
ASKABLE: Mapping[str, Any] = {"elicitation": {}}


@pytest.fixture
async def agent(token: str) -> str:
    """Alice's token; a prompt of three arguments and a collection are stored."""
    arguments = [
        {"name": "city", "title": "City", "description": "Which city?", "required": True, "values": ["Bern", "Berlin"]},
        {"name": "day", "required": True},
        {"name": "tone"},
    ]
    messages = [{"role": "user", "content": text("{{city}} on {{day}}{{tone}}")}]
    prompt = {"description": "The weather.", "arguments": arguments, "messages": messages}
    template = {"template": "resource://example.com/{id}/data", "title": "Data", "mime_type": "application/json"}
    stored = {PROMPTS + "weather": prompt, COLLECTIONS + "data": template}
    for uri, content in (stored | {f"resource://example.com/{id}/data": 1 for id in ("a1", "a2", "b1")}).items():
        body(await ask("resources/create", {"uri": uri, "content": content}, token))
    return token


async def said(token: str, method: str, params: Any = None, able: Any = None) -> dict[str, Any]:
    """The result of a request, or its error."""
    answer = (await post(message(method, params, **{CAPABILITIES: able or {}}), token)).said
    found: dict[str, Any] = answer.get("result") or answer["error"]
    return found


async def fill(token: str, given: Any = None, able: Any = ASKABLE, **more: Any) -> dict[str, Any]:
    """What is said to a request for the prompt; `more` is what a further round brings."""
    return await said(token, "prompts/get", {"name": "weather", "arguments": given or {}, **more}, able)


def accepted(**content: Any) -> dict[str, Any]:
    return {"arguments": {"action": "accept", "content": content}}


async def test_prompts_are_listed_with_their_arguments(agent: str) -> None:
    found = await said(agent, "prompts/list")
    (prompt,) = found["prompts"]
    assert (prompt["name"], prompt["description"]) == ("weather", "The weather.")
    assert [argument["name"] for argument in prompt["arguments"]] == ["city", "day", "tone"]
    assert found["cacheScope"] == "private"


async def test_a_prompt_is_filled(agent: str) -> None:
    found = await fill(agent, {"city": "Bern", "day": "Monday"}, able={})
    assert found["messages"] == [{"role": "user", "content": text("Bern on Monday")}]


async def test_a_user_who_can_be_asked_is_asked_for_what_is_missing(agent: str) -> None:
    first = await fill(agent, {"tone": "!"})
    assert first["inputRequests"]["arguments"]["params"]["requestedSchema"] == {
        "type": "object",
        "properties": {
            "city": {"type": "string", "title": "City", "description": "Which city?"},
            "day": {"type": "string"},
        },
        "required": ["city", "day"],
    }
    again = await fill(agent, {"tone": "!"}, inputResponses=accepted(city="Bern", day=1))
    assert list(again["inputRequests"]["arguments"]["params"]["requestedSchema"]["properties"]) == ["day"]
    rest = {"inputResponses": accepted(day="Monday"), "requestState": again["requestState"]}
    assert (await fill(agent, {"tone": "!"}, **rest))["messages"][0]["content"]["text"] == "Bern on Monday!"


async def test_nobody_is_asked_who_cannot_be_or_has_said_no(agent: str) -> None:
    none: dict[str, Any] = {}
    for able, more in (
        (none, none),
        ({"sampling": {}}, none),
        (ASKABLE, {"inputResponses": {"arguments": {"action": "decline"}}}),
        (ASKABLE, {"inputResponses": {"arguments": {"action": "cancel"}}}),
    ):
        refused = await fill(agent, able=able, **more)
        assert (refused["code"], refused["data"]["argument"]) == (-32602, "city")


async def test_what_a_user_answers_too_much_is_refused(agent: str) -> None:
    refused = await fill(agent, inputResponses=accepted(city="Bern", day="Monday", other="x"))
    assert (refused["code"], refused["data"]["argument"]) == (-32602, "other")


async def test_a_prompt_that_may_not_be_read_is_not_there(agent: str, running: dict[str, User]) -> None:
    bob, root = await token_of("bob"), await token_of("root")
    assert (await said(bob, "prompts/get", {"name": "weather"}))["data"]["argument"] == "city"
    deny = {"user": "bob", "pattern": PROMPTS + "*", "verbs": ["read"], "effect": "deny"}
    body(await ask("access/grant", deny, root))
    assert (await said(bob, "prompts/list"))["prompts"] == []
    denied, absent = [await said(bob, "prompts/get", {"name": name}) for name in ("weather", "absent")]
    assert (denied["code"], denied["message"]) == (absent["code"], absent["message"])
    assert denied["code"] == -32602


async def test_collections_are_templates(agent: str) -> None:
    (template,) = (await said(agent, "resources/templates/list"))["resourceTemplates"]
    assert template == {
        "name": "data",
        "uriTemplate": "resource://example.com/{id}/data",
        "title": "Data",
        "mimeType": "application/json",
    }


async def test_arguments_and_variables_are_completed(agent: str) -> None:
    prompt = {"ref": {"type": "ref/prompt", "name": "weather"}, "argument": {"name": "city", "value": "ber"}}
    found = await said(agent, "completion/complete", prompt)
    assert found["completion"] == {"values": ["Bern", "Berlin"], "total": 2, "hasMore": False}
    argument = {"name": "id", "value": "a"}
    variable = {"ref": {"type": "ref/resource", "uri": "resource://example.com/{id}/data"}, "argument": argument}
    assert (await said(agent, "completion/complete", variable))["completion"]["values"] == ["a1", "a2"]
    other = {"ref": {"type": "ref/resource", "uri": "resource://example.com/{other}"}, "argument": argument}
    assert (await said(agent, "completion/complete", other))["code"] == -32602
