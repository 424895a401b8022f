"""Prompts as they are stored, and what becomes of them when they are filled."""

from pathlib import Path
from typing import Any

import orjson
import pytest
from django.conf import settings
from hypothesis import given
from hypothesis import strategies as st

from audit_app.errors import InvalidParams, TooLarge
from resources_app.definitions import Malformed
from resources_app.prompts import MAX_FILLED, Prompt, read_prompt
from tests.resources.states import state_at


def text(words: str, role: str = "user") -> dict[str, Any]:
    return {"role": role, "content": {"type": "text", "text": words}}


def prompt(*messages: dict[str, Any], arguments: Any = (), **more: Any) -> Prompt:
    state = state_at(1, None, uri="resource://erlmcp/prompts/a", title="Of the resource")
    return read_prompt("a", state, {"messages": list(messages), "arguments": list(arguments), **more})


def words(filled: list[dict[str, Any]]) -> list[str]:
    return [message["content"]["text"] for message in filled]


def test_arguments_stand_in_their_places() -> None:
    made = prompt(
        text("Say {{what}} to {{ who }}, {{who}}!"),
        text("No {what}.", "assistant"),
        arguments=[{"name": "what", "required": True}, {"name": "who"}],
    )
    filled = made.fill({"what": "hello", "who": "Ada"})
    assert words(filled) == ["Say hello to Ada, Ada!", "No {what}."]
    assert [message["role"] for message in filled] == ["user", "assistant"]
    assert words(made.fill({"what": "hello"})) == ["Say hello to , !", "No {what}."]
    assert words(made.fill({"what": "", "who": ""})) == ["Say  to , !", "No {what}."]


@given(st.text(), st.text())
def test_what_an_argument_holds_is_left_as_it_is(one: str, other: str) -> None:
    made = prompt(text("{{a}}|{{b}}|{{a}}"), arguments=[{"name": "a"}, {"name": "b"}])
    for value in (one, "{{b}}", "{{a}}", r"\1", "{{" + other + "}}"):
        assert words(made.fill({"a": value, "b": other})) == [f"{value}|{other}|{value}"]


def test_what_is_missing_or_too_much_is_named() -> None:
    made = prompt(text("{{a}}"), arguments=[{"name": "a", "description": "A", "required": True}, {"name": "b"}])
    with pytest.raises(InvalidParams) as missing:
        made.fill({"b": "1"})
    described = {"name": "a", "description": "A", "required": True}
    assert missing.value.data == {"argument": "a", "missing": [described]}
    with pytest.raises(InvalidParams) as unknown:
        made.fill({"a": "1", "c": "2"})
    assert unknown.value.data == {"argument": "c"}


def test_a_filled_prompt_has_a_bound() -> None:
    made = prompt(*[text("{{a}}" * 20)] * 50, arguments=[{"name": "a"}])
    assert len(words(made.fill({"a": "x" * (MAX_FILLED // 1000)}))) == 50
    with pytest.raises(TooLarge):
        made.fill({"a": "x" * (MAX_FILLED // 1000 + 2)})


def test_resources_and_pictures_may_stand_in_it() -> None:
    picture = {"type": "image", "data": "aGk=", "mimeType": "image/png", "annotations": {"priority": 1}}
    link = {"type": "resource_link", "uri": "{{uri}}", "name": "of {{uri}}"}
    made = prompt(
        {"role": "user", "content": {"type": "resource", "resource": {"uri": "{{uri}}"}}},
        {"role": "user", "content": picture},
        {"role": "user", "content": link},
        arguments=[{"name": "uri"}],
    )
    uri = "resource://example.com/a"
    assert [message["content"] for message in made.fill({"uri": uri})] == [
        {"type": "resource", "resource": {"uri": uri}},
        picture,
        {"type": "resource_link", "uri": uri, "name": f"of {uri}"},
    ]


def test_what_a_list_tells_is_not_how_an_argument_is_completed() -> None:
    made = prompt(
        text("{{a}}"),
        title="Its own",
        arguments=[{"name": "a", "description": "one", "values": ["x"], "template": "resource://e.com/{a}"}],
    )
    assert made.as_json() == {
        "name": "a",
        "title": "Its own",
        "description": "",
        "arguments": [{"name": "a", "description": "one", "required": False}],
    }
    assert prompt(text("a")).title == "Of the resource"


@pytest.mark.parametrize(
    "value",
    [
        *(None, [], "text", {}, {"messages": []}, {"messages": "text"}, {"messages": [{"role": "user"}]}),
        {"messages": [{"role": "system", "content": {"type": "text", "text": "a"}}]},
        {"messages": [{"role": "user", "content": "text"}]},
        {"messages": [{"role": "user", "content": {"type": "text"}}]},
        {"messages": [{"role": "user", "content": {"type": "text", "text": 1}}]},
        {"messages": [{"role": "user", "content": {"type": "video", "data": ""}}]},
        {"messages": [{"role": "user", "content": {"type": "text", "text": "", "secret": 1}}]},
        {"messages": [{"role": "user", "content": {"type": "resource", "resource": {"uri": "a", "text": "b"}}}]},
        {"messages": [text("{{a}}")]},
        {"messages": [text("a")], "title": 1},
        {"messages": [text("a")], "arguments": [{}]},
        {"messages": [text("a")], "arguments": [{"name": "a b"}]},
        {"messages": [text("a")], "arguments": [{"name": "a"}, {"name": "a"}]},
        {"messages": [text("a")], "arguments": [{"name": "a", "required": "yes"}]},
        {"messages": [text("a")], "arguments": [{"name": "a", "values": [1]}]},
        {"messages": [text("a")], "arguments": [{"name": "a", "template": "nowhere"}]},
    ],
)
def test_what_is_no_prompt_says_why(value: Any) -> None:
    with pytest.raises(Malformed):
        read_prompt("a", state_at(1, None), value)


def test_the_reason_tells_nothing_of_the_content() -> None:
    with pytest.raises(Malformed) as reason:
        read_prompt("a", state_at(1, None), {"messages": [text("a"), {"role": "secret-word", "content": {}}]})
    assert str(reason.value) == "messages/1/role does not fit: enum"


def test_the_example_of_the_document_is_a_prompt() -> None:
    page = Path(settings.BASE_DIR, "docs", "prompts.md").read_text()
    example = page.partition('-d \'{"content": ')[2].partition("}'\n```")[0]
    read = read_prompt("station-report", state_at(1, None), orjson.loads(example))
    assert [argument.name for argument in read.arguments.values() if argument.required] == ["city"]
