"""Templates of URIs: what they match, what they are completed from, and which are none."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from resources_app.definitions import Malformed
from resources_app.errors import InvalidUri
from resources_app.templates import expanded, parse_template, read_collection
from resources_app.uris import normalise
from tests.resources.states import state_at

BOARD = parse_template("resource://demo.local/stations/{city}/boards/{board}")


@pytest.mark.parametrize(
    ("uri", "values"),
    [
        ("resource://demo.local/stations/berlin/boards/1", {"city": "berlin", "board": "1"}),
        ("resource://demo.local/stations/s%C3%A3o%20paulo/boards/a%2Fb", {"city": "são paulo", "board": "a/b"}),
        ("resource://demo.local/stations/berlin/boards/1/2", None),
        ("resource://demo.local/stations//boards/1", None),
        ("resource://demo.local/stations/a,b/boards/1", None),
        ("resource://other.local/stations/berlin/boards/1", None),
    ],
)
def test_values_are_those_that_make_the_uri(uri: str, values: dict[str, str] | None) -> None:
    assert BOARD.values(uri) == values


def test_a_variable_has_one_value_wherever_it_stands() -> None:
    twice = parse_template("resource://e.com/{a}/of/{a}")
    assert twice.values("resource://e.com/x/of/x") == {"a": "x"}
    assert twice.values("resource://e.com/x/of/y") is None


@given(st.text(st.characters(codec="utf-8", min_codepoint=33), min_size=1, max_size=20).filter(lambda v: "\\" not in v))
def test_what_is_expanded_comes_back(value: str) -> None:
    template = parse_template("resource://e.com/all/{a}/end")
    uri = f"resource://e.com/all/{expanded(value)}/end"
    try:
        normal = normalise(uri)
    except InvalidUri:
        # dots alone, also encoded ones between slashes, and controls are in no URI of a resource
        return
    assert normal == uri
    assert template.values(uri) == {"a": value}


def test_what_is_known_narrows_where_to_look() -> None:
    assert BOARD.beginning({}, "city") == ("resource://demo.local/stations/", True)
    assert BOARD.beginning({}, "board") == ("resource://demo.local/stations/", False)
    known = {"city": "são paulo"}
    assert BOARD.beginning(known, "board") == ("resource://demo.local/stations/s%C3%A3o%20paulo/boards/", True)
    assert BOARD.beginning(known, "city") == ("resource://demo.local/stations/", True)


@pytest.mark.parametrize(
    "text",
    [
        *("", "nowhere", "resource://e.com/a", "resource://e.com/{}", "resource://e.com/{1a}", "resource://e.com/{a"),
        *("resource://e.com/a}", "resource://e.com/{+a}", "resource://e.com/{a*}", "resource://e.com/{a,b}"),
        *("resource://e.com/{a}{b}", "resource://e.com/{a}-{b}", "resource://e.com/{a}x{b}", "{a}/b", "//e.com/{a}"),
        *("RESOURCE://e.com/{a}", "resource://E.com/{a}", "resource://e.com/%7E/{a}", "resource://e.com/../{a}"),
        *("resource://e.com/{a}?q", "resource://e.com/{?a}", "resource://e.com/é/{a}"),
        "resource://e.com/" + "/".join(f"{{v{n}}}" for n in range(20)),
    ],
)
def test_what_is_no_template_of_resources_is_refused(text: str) -> None:
    with pytest.raises(Malformed):
        parse_template(text)


@pytest.mark.parametrize("text", ["test://template/{id}/data", "resource://e.com/{a}:{b}", "resource://{host}/a"])
def test_templates_may_have_any_scheme_and_other_separators(text: str) -> None:
    assert parse_template(text).text == text


def test_a_match_takes_no_more_than_the_length_of_the_uri() -> None:
    """Where values could end in many places, to try all of them would take for ever."""
    many = parse_template("resource://e.com/" + "/a".join(f"{{v{n}}}" for n in range(16)))
    assert many.values("resource://e.com/" + "/a".join(["a" * 100] * 15) + "/" + "a" * 200 + "!") is None


def test_a_collection_says_what_it_does_not_say_as_its_resource_does() -> None:
    state = state_at(1, None, uri="resource://erlmcp/collections/boards", title="Boards")
    made = read_collection("boards", state, {"template": BOARD.text, "mime_type": "application/json"})
    assert made.as_json() == {
        "name": "boards",
        "template": BOARD.text,
        "title": "Boards",
        "description": "",
        "mime_type": "application/json",
    }
    bad: list[Any] = [{}, [], {"template": 1}, {"template": BOARD.text, "title": 5}]
    for value in bad:
        with pytest.raises(Malformed):
            read_collection("boards", state, value)
