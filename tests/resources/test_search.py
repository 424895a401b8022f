"""What a search finds in one resource, and where."""

import base64
from dataclasses import replace

import orjson
import pytest

from audit_app.errors import InvalidParams
from encryption_app.envelope import MARK
from resources_app.search import Question
from resources_app.state import Kind, ResourceState
from tests.resources.states import state_at

NUT = state_at(
    3,
    {"of": 'A 5" nut', "n": 7, "note": "größer\nals"},
    uri="resource://shop.example/stock/nut",
    name="nut",
    title="Hexagon",
    description="STRASSE 7",
)
TEXT = replace(NUT, kind=Kind.TEXT, body=b'A 5" nut\nin Text')
BYTES = replace(NUT, kind=Kind.BLOB, body=base64.b64encode(b"hidden"))
SEALED = replace(NUT, body=MARK + b"whatever", sealed_by="key")


def fields(state: ResourceState, text: str) -> list[str] | None:
    found = Question(text).matches(state)
    return None if found is None else list(found.fields)


@pytest.mark.parametrize(
    ("state", "text", "found"),
    [
        (NUT, "hexagon", ["title"]),
        (NUT, "NUT", ["uri", "name", "content"]),
        (NUT, "straße", ["description"]),
        (NUT, "GRÖSSER\nALS", ["content"]),
        (NUT, '5" NUT', ["content"]),
        (NUT, "bolt", None),
        (TEXT, '5" nut\nIN', ["content"]),
        (TEXT, "\\n", None),
        (BYTES, "hidden", None),
        (BYTES, base64.b64encode(b"hidden").decode(), None),
        (BYTES, "hexagon", ["title"]),
        (SEALED, "whatever", None),
        (SEALED, "nut", ["uri", "name"]),
    ],
)
def test_a_text_is_found_whatever_its_case(state: ResourceState, text: str, found: list[str] | None) -> None:
    assert fields(state, text) == found


def test_all_that_is_asked_has_to_hold() -> None:
    found = Question("nut", "$.n", (7,)).matches(NUT)
    assert found is not None and found.as_json() == {"fields": ["uri", "name", "content"], "paths": ["$['n']"]}
    assert Question("bolt", "$.n", (7,)).matches(NUT) is None
    assert Question("nut", "$.n", (8,)).matches(NUT) is None
    assert Question("nut", "$.m").matches(NUT) is None
    assert Question(path="$.n").matches(NUT) is not None


@pytest.mark.parametrize("state", [TEXT, BYTES, SEALED, replace(TEXT, body=orjson.dumps({"n": 7}))])
def test_only_json_that_can_be_read_has_places(state: ResourceState) -> None:
    assert Question(path="$").matches(state) is None


def test_content_is_wanted_only_where_something_may_be_found_in_it() -> None:
    states = (NUT, TEXT, BYTES)
    assert [Question().needs_content(state) for state in states] == [False, False, False]
    assert [Question("a").needs_content(state) for state in states] == [True, True, False]
    assert [Question("a", "$").needs_content(state) for state in states] == [True, False, False]


def test_a_path_that_is_none_is_refused() -> None:
    with pytest.raises(InvalidParams):
        Question(path="stock")
