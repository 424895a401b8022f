"""JSON Patch does what RFC 6902 says, and nothing that a caller sends makes it do anything else."""

import copy
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pytest_django import Settings

from audit_app.errors import InvalidParams, Refusal, TooDeep, TooLarge
from resources_app.errors import PatchFailed
from resources_app.patch import MAX_OPERATIONS, apply_patch
from tests.resources.test_merge_patch import JSON

APPLIED: dict[str, tuple[Any, list[Any], Any]] = {
    "A.1 an object member": (
        {"foo": "bar"},
        [{"op": "add", "path": "/baz", "value": "qux"}],
        {"baz": "qux", "foo": "bar"},
    ),
    "A.2 an array element": (
        {"foo": ["bar", "baz"]},
        [{"op": "add", "path": "/foo/1", "value": "qux"}],
        {"foo": ["bar", "qux", "baz"]},
    ),
    "A.3 removing a member": ({"baz": "qux", "foo": "bar"}, [{"op": "remove", "path": "/baz"}], {"foo": "bar"}),
    "A.4 removing an element": (
        {"foo": ["bar", "qux", "baz"]},
        [{"op": "remove", "path": "/foo/1"}],
        {"foo": ["bar", "baz"]},
    ),
    "A.5 replacing a value": (
        {"baz": "qux", "foo": "bar"},
        [{"op": "replace", "path": "/baz", "value": "boo"}],
        {"baz": "boo", "foo": "bar"},
    ),
    "A.6 moving a value": (
        {"foo": {"bar": "baz", "waldo": "fred"}, "qux": {"corge": "grault"}},
        [{"op": "move", "from": "/foo/waldo", "path": "/qux/thud"}],
        {"foo": {"bar": "baz"}, "qux": {"corge": "grault", "thud": "fred"}},
    ),
    "A.7 moving an element": (
        {"foo": ["all", "grass", "cows", "eat"]},
        [{"op": "move", "from": "/foo/1", "path": "/foo/3"}],
        {"foo": ["all", "cows", "eat", "grass"]},
    ),
    "A.8 testing a value": (
        {"baz": "qux", "foo": ["a", 2, "c"]},
        [{"op": "test", "path": "/baz", "value": "qux"}, {"op": "test", "path": "/foo/1", "value": 2}],
        {"baz": "qux", "foo": ["a", 2, "c"]},
    ),
    "A.10 a nested member object": (
        {"foo": "bar"},
        [{"op": "add", "path": "/child", "value": {"grandchild": {}}}],
        {"foo": "bar", "child": {"grandchild": {}}},
    ),
    "A.11 unknown members are ignored": (
        {"foo": "bar"},
        [{"op": "add", "path": "/baz", "value": "qux", "xyz": 123}],
        {"foo": "bar", "baz": "qux"},
    ),
    "A.14 escapes in a pointer": (
        {"/": 9, "~1": 10},
        [{"op": "test", "path": "/~01", "value": 10}],
        {"/": 9, "~1": 10},
    ),
    "A.16 an array value": (
        {"foo": ["bar"]},
        [{"op": "add", "path": "/foo/-", "value": ["abc", "def"]}],
        {"foo": ["bar", ["abc", "def"]]},
    ),
    "A.14 the same escapes, changed": (
        {"/": 9, "~1": 10, "a/b": 1},
        [{"op": "replace", "path": "/~01", "value": 11}, {"op": "move", "from": "/a~1b", "path": "/m~0n"}],
        {"/": 9, "~1": 11, "m~n": 1},
    ),
    "an index is a name where there is an object": ({"0": 1}, [{"op": "remove", "path": "/0"}], {}),
    "a hyphen is a name where there is an object": ({"-": 1}, [{"op": "replace", "path": "/-", "value": 2}], {"-": 2}),
    "adding replaces a member": ({"a": 1}, [{"op": "add", "path": "/a", "value": 2}], {"a": 2}),
    "copying to the end": ({"a": [1]}, [{"op": "copy", "from": "/a/0", "path": "/a/-"}], {"a": [1, 1]}),
    "moving a value to where it is": ({"a": 1}, [{"op": "move", "from": "/a", "path": "/a"}], {"a": 1}),
    "a test of an object, in any order": (
        {"a": {"b": 1, "c": [None]}},
        [{"op": "test", "path": "/a", "value": {"c": [None], "b": 1}}],
        {"a": {"b": 1, "c": [None]}},
    ),
    "the whole document": ({"a": 1}, [{"op": "replace", "path": "", "value": [1]}], [1]),
    "a whole document that is a number": (1, [{"op": "test", "path": "", "value": 1}], 1),
    "an empty name": ({"": 1}, [{"op": "replace", "path": "/", "value": 2}], {"": 2}),
    "no operation": ({"a": 1}, [], {"a": 1}),
    "null is a value": ({}, [{"op": "add", "path": "/a", "value": None}], {"a": None}),
    "numbers are equal by value": ({"a": 1}, [{"op": "test", "path": "/a", "value": 1.0}], {"a": 1}),
}

FAILED: dict[str, tuple[Any, list[Any], str]] = {
    "A.9 a test that fails": ({"baz": "qux"}, [{"op": "test", "path": "/baz", "value": "bar"}], "/baz"),
    "A.12 a parent that is missing": ({"foo": "bar"}, [{"op": "add", "path": "/baz/bat", "value": "qux"}], "/baz/bat"),
    "A.15 a string is no number": ({"/": 9, "~1": 10}, [{"op": "test", "path": "/~01", "value": "10"}], "/~01"),
    "a truth is no number": ({"a": 1}, [{"op": "test", "path": "/a", "value": True}], "/a"),
    "a falsehood is no number, however deep": (
        {"a": [{"b": 0}]},
        [{"op": "test", "path": "/a", "value": [{"b": False}]}],
        "/a",
    ),
    "a test of what is missing": ({"a": 1}, [{"op": "test", "path": "/b", "value": None}], "/b"),
    "A.13 of an op given twice the last one counts": (
        {"foo": "bar"},
        orjson.loads('[{"op": "add", "path": "/baz", "value": "qux", "op": "remove"}]'),
        "/baz",
    ),
    "an index behind the end": ({"a": [1]}, [{"op": "add", "path": "/a/2", "value": 1}], "/a/2"),
    "an index with a leading zero": ({"a": [1, 2]}, [{"op": "test", "path": "/a/01", "value": 2}], "/a/01"),
    "a negative index": ({"a": [1, 2]}, [{"op": "remove", "path": "/a/-1"}], "/a/-1"),
    "the element behind the last": ({"a": [1, 2]}, [{"op": "remove", "path": "/a/-"}], "/a/-"),
    "replacing what is missing": ({"a": 1}, [{"op": "replace", "path": "/b", "value": 1}], "/b"),
    "removing what is missing": ({"a": 1}, [{"op": "remove", "path": "/b"}], "/b"),
    "into a number": ({"a": 1}, [{"op": "add", "path": "/a/b", "value": 1}], "/a/b"),
    "into a string": ({"a": "text"}, [{"op": "add", "path": "/a/0", "value": 1}], "/a/0"),
    "a letter of a string": ({"a": "text"}, [{"op": "test", "path": "/a/0", "value": "t"}], "/a/0"),
    "copying a letter of a string": ({"a": "text"}, [{"op": "copy", "from": "/a/0", "path": "/b"}], "/b"),
    "moving what is missing": ({"a": 1}, [{"op": "move", "from": "/b", "path": "/c"}], "/c"),
    "moving a value into itself": ({"a": {"b": {}}}, [{"op": "move", "from": "/a", "path": "/a/b/c"}], "/a/b/c"),
    "copying what is missing": ({"a": 1}, [{"op": "copy", "from": "/b", "path": "/c"}], "/c"),
}

NO_PATCHES: dict[str, Any] = {
    "an object": {"op": "add", "path": "/a", "value": 1},
    "a text": "add",
    "null": None,
    "an operation that is a text": ["add"],
    "an unknown operation": [{"op": "spam", "path": "/a", "value": 1}],
    "an operation without op": [{"path": "/a", "value": 1}],
    "an operation without path": [{"op": "add", "value": 1}],
    "an operation without value": [{"op": "add", "path": "/a"}],
    "a test without value": [{"op": "test", "path": "/a"}],
    "a copy without from": [{"op": "copy", "path": "/a"}],
    "a move without from": [{"op": "move", "path": "/a"}],
    "a path that is a number": [{"op": "remove", "path": 1}],
    "a from that is a list": [{"op": "copy", "path": "/b", "from": ["/a"]}],
    "a path that does not begin with a slash": [{"op": "remove", "path": "a"}],
    "a path with a bad escape": [{"op": "remove", "path": "/~2"}],
    "an op that is a list": [{"op": ["add"], "path": "/a", "value": 1}],
}


@pytest.mark.parametrize("name", APPLIED)
def test_a_patch_is_applied(name: str) -> None:
    document, patch, result = APPLIED[name]
    assert apply_patch(document, patch, "json") == result


@pytest.mark.parametrize("name", FAILED)
def test_a_patch_that_does_not_fit_names_its_path(name: str) -> None:
    document, patch, path = FAILED[name]
    with pytest.raises(PatchFailed) as refused:
        apply_patch(document, patch, "json")
    assert refused.value.data["path"] == path


def test_a_refusal_says_what_failed_and_where_and_nothing_of_the_content() -> None:
    document = {"card": "4111" * 1000, "list": [{"card": "4111" * 1000}]}
    for op in ("add", "remove", "replace", "move", "copy", "test"):
        for path in ("/none/a", "/list/7", "/card/a", "/list/-/a"):
            patch = [{"op": op, "path": path, "from": path, "value": 1}]
            with pytest.raises(PatchFailed) as refused:
                apply_patch(document, patch, "json")
            assert "4111" not in refused.value.message and refused.value.data == {"path": path}
    for operation, told in (
        ({"op": "remove", "path": "/none"}, "remove at '/none'"),
        ({"op": "move", "path": "/a", "from": "/none"}, "move at '/a' from '/none'"),
    ):
        with pytest.raises(PatchFailed) as refused:
            apply_patch(document, [operation], "json")
        assert refused.value.message == f"The patch cannot be applied: {told} does not fit the content."


def test_a_refusal_does_not_say_everything_again_that_was_sent() -> None:
    long = "x" * 100_000
    for patch in ([{"op": "remove", "path": f"/{long}"}], [{"op": long, "path": ""}]):
        with pytest.raises((PatchFailed, InvalidParams)) as refused:
            apply_patch({}, patch, "json")
        assert len(refused.value.message) < 300


@pytest.mark.parametrize("name", NO_PATCHES)
def test_what_is_no_patch_is_refused(name: str) -> None:
    with pytest.raises(InvalidParams):
        apply_patch({"a": 1}, NO_PATCHES[name], "json")


def test_a_patch_has_at_most_a_thousand_operations() -> None:
    one = {"op": "add", "path": "/a/-", "value": 1}
    assert len(apply_patch({"a": []}, [one] * MAX_OPERATIONS, "json")["a"]) == MAX_OPERATIONS
    with pytest.raises(TooLarge):
        apply_patch({"a": []}, [one] * (MAX_OPERATIONS + 1), "json")


def test_copies_that_double_the_document_are_refused_before_they_fill_the_memory(settings: Settings) -> None:
    settings.RESOURCE_MAX_BYTES = 100_000
    bomb = [{"op": "copy", "from": "/a", "path": "/a/-"}] * 200
    with pytest.raises(TooLarge):
        apply_patch({"a": ["0123456789"]}, bomb, "json")


def test_copies_of_copies_cannot_nest_without_bound() -> None:
    for patch in (
        [{"op": "copy", "from": "", "path": "/a"}] * MAX_OPERATIONS,
        [{"op": "copy", "from": "/a", "path": "/a" + "/a" * n} for n in range(64)],
    ):
        with pytest.raises(TooDeep):
            apply_patch({"a": {}}, patch, "json")


def test_a_copy_and_its_source_change_independently() -> None:
    patch = [
        {"op": "copy", "from": "/a", "path": "/b"},
        {"op": "add", "path": "/b/-", "value": 2},
        {"op": "add", "path": "/c", "value": {"x": []}},
        {"op": "copy", "from": "/c", "path": "/d"},
        {"op": "add", "path": "/d/x/-", "value": 3},
    ]
    patched = apply_patch({"a": [1]}, patch, "json")
    assert patched == {"a": [1], "b": [1, 2], "c": {"x": []}, "d": {"x": [3]}}


@pytest.mark.parametrize("last", [{"op": "test", "path": "/a/0", "value": 5}, {"op": "remove", "path": "/missing"}])
def test_a_patch_that_fails_in_the_end_has_changed_nothing(last: Any) -> None:
    document = {"a": [0], "b": {"c": 1}}
    first = [{"op": "replace", "path": "/a/0", "value": 1}, {"op": "remove", "path": "/b/c"}]
    with pytest.raises(PatchFailed):
        apply_patch(document, [*first, last], "json")
    assert document == {"a": [0], "b": {"c": 1}}


def test_a_patch_can_be_applied_again_and_does_the_same() -> None:
    patch = [{"op": "add", "path": "/a", "value": []}, {"op": "add", "path": "/a/-", "value": 1}]
    before = copy.deepcopy(patch)
    assert [apply_patch({}, patch, "json") for _ in range(3)] == [{"a": [1]}] * 3
    assert patch == before


@pytest.mark.parametrize("op", ["copy", "move"])
def test_behind_the_end_of_an_array_there_is_nothing_to_take(op: str) -> None:
    with pytest.raises(PatchFailed):
        apply_patch({"a": [1]}, [{"op": op, "from": "/a/-", "path": "/b"}], "json")


PATHS = st.lists(st.sampled_from(["a", "b", "0", "1", "-", "~0", "~2", ""]), max_size=3).map(
    lambda parts: "".join(f"/{part}" for part in parts)
)
OPERATIONS = st.fixed_dictionaries(
    {"op": st.sampled_from(["add", "remove", "replace", "move", "copy", "test"]), "path": PATHS},
    optional={"from": PATHS, "value": JSON},
)
ODD = st.one_of(OPERATIONS, st.dictionaries(st.sampled_from(["op", "path", "from", "value"]), JSON), JSON)


@given(JSON, st.lists(ODD, max_size=5))
def test_whatever_is_sent_is_applied_or_refused(document: Any, patch: list[Any]) -> None:
    before = copy.deepcopy((document, patch))
    try:
        apply_patch(document, patch, "json")
    except Refusal as refusal:
        assert isinstance(refusal, PatchFailed | InvalidParams)
    assert (document, patch) == before
