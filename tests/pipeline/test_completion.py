"""Completing arguments of prompts and variables of templates, by what their caller may see."""

from typing import Any

import pytest

from erlmcp_site.methods import completion, listing
from tests.pipeline.callers import Callers
from tests.pipeline.calls import ask, body, code, token_of
from tests.pipeline.test_prompts import ROOT, store

pytestmark = pytest.mark.usefixtures("running")

BASE = "resource://city.example/"
BOARD = BASE + "{city}/boards/{board}"
CITY = BASE + "{city}"


async def fill(token: str, *paths: str) -> None:
    operations = [{"method": "resources/write", "params": {"uri": BASE + path, "content": 1}} for path in paths]
    body(await ask("resources/batch", {"operations": operations}, token))


async def complete(token: str, template: str, name: str, value: str = "", **known: str) -> Any:
    params = {
        "ref": {"type": "ref/resource", "uri": template},
        "argument": {"name": name, "value": value},
        **({"context": {"arguments": known}} if known else {}),
    }
    return body(await ask("completion/complete", params, token))


async def complete_prompt(token: str, prompt: str, name: str, value: str = "", **known: str) -> Any:
    params = {
        "ref": {"type": "ref/prompt", "name": prompt},
        "argument": {"name": name, "value": value},
        "context": {"arguments": known},
    }
    return await ask("completion/complete", params, token)


@pytest.fixture
async def alice() -> str:
    token = await token_of("alice")
    await store(token, "collections/boards", {"template": BOARD})
    await store(token, "collections/cities", {"template": CITY})
    paths = [f"{city}/boards/{board}" for city in ("berlin", "bern", "s%C3%A3o%20paulo") for board in ("in", "out")]
    await fill(token, *paths, "berlin", "bergen", "bern/other/in", "berlin-west/boards/1/2")
    return token


async def test_variables_are_completed_to_what_is_there(alice: str) -> None:
    assert await complete(alice, BOARD, "city") == {
        "values": ["berlin", "bern", "são paulo"],
        "total": 3,
        "has_more": False,
    }
    assert (await complete(alice, BOARD, "city", "ber"))["values"] == ["berlin", "bern"]
    assert (await complete(alice, BOARD, "city", "são"))["values"] == ["são paulo"]
    assert (await complete(alice, BOARD, "city", "x"))["values"] == []
    assert (await complete(alice, BOARD, "board"))["values"] == ["in", "out"]
    assert (await complete(alice, BOARD, "board", "o", city="bern"))["values"] == ["out"]
    assert (await complete(alice, BOARD, "board", city="oslo"))["values"] == []
    assert (await complete(alice, BOARD, "city", board="nowhere"))["values"] == []
    assert (await complete(alice, CITY, "city"))["values"] == ["bergen", "berlin"]


async def test_only_what_its_caller_may_see_is_told(callers: Callers, alice: str) -> None:
    new = callers.tokens["new"]
    for template in (BOARD, "resource://never.example/{a}"):
        params = {"ref": {"type": "ref/resource", "uri": template}, "argument": {"name": "city", "value": ""}}
        assert code(await ask("completion/complete", params, new)) == "invalid_params"
    await callers.grant(f"{ROOT}collections/*", "read")
    assert await complete(new, BOARD, "city") == {"values": [], "total": 0, "has_more": False}
    await callers.grant(f"{BASE}bern/*", "read")
    assert (await complete(new, BOARD, "city"))["values"] == ["bern"]


async def test_a_hundred_values_are_told_and_that_there_are_more(alice: str) -> None:
    await fill(alice, *(f"town{n:03}/boards/in" for n in range(130)))
    answer = await complete(alice, BOARD, "city", "town")
    assert answer == {"values": [f"town{n:03}" for n in range(100)], "has_more": True}
    await fill(alice, *(f"town/boards/{n:03}" for n in range(100)))
    answer = await complete(alice, BOARD, "board", city="town")
    assert (len(answer["values"]), answer["has_more"], answer["total"]) == (100, False, 100)


async def test_a_value_with_very_much_below_it_does_not_hide_the_others(
    alice: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(completion, "PORTION", 10)
    monkeypatch.setattr(listing, "MAX_LOOKS", 5)
    await fill(alice, *(f"aachen/boards/{n:04}" for n in range(100)))
    assert (await complete(alice, BOARD, "city"))["values"] == ["aachen", "berlin", "bern", "são paulo"]
    assert (await complete(alice, CITY, "city"))["values"] == ["bergen", "berlin"]


async def test_arguments_of_prompts_are_completed(alice: str) -> None:
    arguments = [
        {"name": "tone", "values": ["Brief", "bold", "calm"]},
        {"name": "city", "template": BOARD},
        {"name": "where", "template": BOARD},
        {"name": "free"},
    ]
    message = {"role": "user", "content": {"type": "text", "text": "{{tone}}"}}
    await store(alice, "prompts/p", {"arguments": arguments, "messages": [message]})
    assert body(await complete_prompt(alice, "p", "tone", "b")) == {
        "values": ["Brief", "bold"],
        "total": 2,
        "has_more": False,
    }
    assert body(await complete_prompt(alice, "p", "city", "ber"))["values"] == ["berlin", "bern"]
    assert body(await complete_prompt(alice, "p", "where", "o", city="bern"))["values"] == ["out"]
    assert body(await complete_prompt(alice, "p", "free", "x")) == {"values": [], "total": 0, "has_more": False}
    assert code(await complete_prompt(alice, "p", "none")) == "invalid_params"
    assert code(await complete_prompt(alice, "q", "none")) == "resource_not_found"
    assert code(await complete_prompt(await token_of("new"), "p", "tone")) == "resource_not_found"


@pytest.mark.parametrize(
    "params",
    [
        {},
        {"ref": {"type": "ref/prompt"}, "argument": {"name": "a", "value": ""}},
        {"ref": {"type": "ref/resource", "name": "a"}, "argument": {"name": "a", "value": ""}},
        {"ref": {"type": "ref/other", "name": "a"}, "argument": {"name": "a", "value": ""}},
        {"ref": {"type": "ref/resource", "uri": BOARD}, "argument": {"name": "nothing", "value": ""}},
        {"ref": {"type": "ref/resource", "uri": BOARD}, "argument": {"value": ""}},
        {"ref": {"type": "ref/resource", "uri": BOARD}, "argument": {"name": "city", "value": "x" * 5000}},
        {"ref": {"type": "ref/resource", "uri": BOARD}, "argument": "city"},
    ],
)
async def test_a_completion_that_makes_no_sense_is_refused(alice: str, params: dict[str, Any]) -> None:
    assert code(await ask("completion/complete", params, alice)) == "invalid_params"
