"""JSON Merge Patch does what RFC 7386 says."""

from copy import deepcopy
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from audit_app.errors import TooDeep
from resources_app.patch import apply_patch

APPENDIX_A: list[tuple[Any, Any, Any]] = [
    ({"a": "b"}, {"a": "c"}, {"a": "c"}),
    ({"a": "b"}, {"b": "c"}, {"a": "b", "b": "c"}),
    ({"a": "b"}, {"a": None}, {}),
    ({"a": "b", "b": "c"}, {"a": None}, {"b": "c"}),
    ({"a": ["b"]}, {"a": "c"}, {"a": "c"}),
    ({"a": "c"}, {"a": ["b"]}, {"a": ["b"]}),
    ({"a": {"b": "c"}}, {"a": {"b": "d", "c": None}}, {"a": {"b": "d"}}),
    ({"a": [{"b": "c"}]}, {"a": [1]}, {"a": [1]}),
    (["a", "b"], ["c", "d"], ["c", "d"]),
    ({"a": "b"}, ["c"], ["c"]),
    ({"a": "foo"}, None, None),
    ({"a": "foo"}, "bar", "bar"),
    ({"e": None}, {"a": 1}, {"e": None, "a": 1}),
    ([1, 2], {"a": "b", "c": None}, {"a": "b"}),
    ({}, {"a": {"bb": {"ccc": None}}}, {"a": {"bb": {}}}),
]

JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-9, 9) | st.sampled_from(["", "a"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from("abc"), inner, max_size=3),
    max_leaves=8,
)


SECTION_3: tuple[Any, Any, Any] = (
    {
        "title": "Goodbye!",
        "author": {"givenName": "John", "familyName": "Doe"},
        "tags": ["example", "sample"],
        "content": "This will be unchanged",
    },
    {"title": "Hello!", "phoneNumber": "+01-123-456-7890", "author": {"familyName": None}, "tags": ["example"]},
    {
        "title": "Hello!",
        "author": {"givenName": "John"},
        "tags": ["example"],
        "content": "This will be unchanged",
        "phoneNumber": "+01-123-456-7890",
    },
)


def nested(depth: int) -> Any:
    value: Any = 1
    for _ in range(depth):
        value = {"a": value}
    return value


def mentions_null(value: Any) -> bool:
    if isinstance(value, dict):
        return any(inner is None or mentions_null(inner) for inner in value.values())
    return False


@pytest.mark.parametrize(("target", "patch", "result"), [*APPENDIX_A, SECTION_3])
def test_the_vectors_of_the_rfc(target: Any, patch: Any, result: Any) -> None:
    before = deepcopy((target, patch))
    assert apply_patch(target, patch, "merge") == result
    assert (target, patch) == before


@given(JSON, JSON)
def test_a_patch_applied_twice_does_what_it_did_once(target: Any, patch: Any) -> None:
    once = apply_patch(target, patch, "merge")
    assert apply_patch(once, patch, "merge") == once


@given(JSON, JSON)
def test_patching_nothing_gives_the_patch_itself(target: Any, patch: Any) -> None:
    if not mentions_null(patch):
        assert apply_patch(None, patch, "merge") == patch
    assert apply_patch(target, {}, "merge") == (target if isinstance(target, dict) else {})


def test_a_result_may_be_as_deep_as_the_limit_and_no_deeper() -> None:
    assert apply_patch({}, nested(64), "merge") == nested(64)
    with pytest.raises(TooDeep):
        apply_patch({}, nested(65), "merge")


def test_a_patch_as_deep_as_a_message_can_be_is_refused() -> None:
    with pytest.raises(TooDeep):
        apply_patch({}, nested(1000), "merge")
    with pytest.raises(TooDeep):
        apply_patch({}, [{"op": "add", "path": "/a", "value": nested(1000)}], "json")
