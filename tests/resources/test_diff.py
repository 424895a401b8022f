"""What changed between two JSON values, as operations of a JSON Patch."""

from copy import deepcopy
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from resources_app.diff import align, diff, pointer
from resources_app.patch import MAX_OPERATIONS, apply_patch
from tests.resources.json_values import edited, strict, values

PAIRS = values().flatmap(lambda value: st.tuples(st.just(value), edited(value)))


@given(PAIRS | st.tuples(values(), values()))
def test_applying_the_difference_gives_the_other_value(pair: tuple[Any, Any]) -> None:
    before, after = pair
    assert strict(apply_patch(before, diff(before, after), "json")) == strict(after)


@given(PAIRS)
def test_the_difference_is_empty_for_the_same_value_only(pair: tuple[Any, Any]) -> None:
    before, after = pair
    assert diff(before, deepcopy(before)) == []
    assert (diff(before, after) == []) == (strict(before) == strict(after))


@pytest.mark.parametrize("pair", [(1, True), (1, 1.0), (0, False), (0.0, -0.0), (None, 0), ("1", 1), ([], {})])
@pytest.mark.parametrize("around", [lambda value: value, lambda value: {"a": value}, lambda value: [[value]]])
def test_values_of_different_types_are_never_the_same(pair: tuple[Any, Any], around: Any) -> None:
    before, after = map(around, pair)
    (operation,) = diff(before, after)
    assert operation["op"] == "replace"
    assert strict(operation["value"]) == strict(pair[1])


def test_the_order_of_names_does_not_count() -> None:
    assert diff({"a": 1, "b": [{"c": 2, "d": 3}]}, {"b": [{"d": 3, "c": 2}], "a": 1}) == []


def test_names_are_escaped_in_paths() -> None:
    assert diff({"a/b": {"~": 1}}, {"a/b": {"~": 2}}) == [{"op": "replace", "path": "/a~1b/~0", "value": 2}]
    assert pointer("~1", 0, "", "/") == "/~01/0//~1"


@pytest.mark.parametrize(
    "before, after, operations",
    [
        ([1, 2, 3], [1, 9, 3], [{"op": "replace", "path": "/1", "value": 9}]),
        ([1, 2, 3], [1, 3], [{"op": "remove", "path": "/1"}]),
        ([1, 3], [1, 2, 3], [{"op": "add", "path": "/1", "value": 2}]),
        ([1], [1, 2], [{"op": "add", "path": "/1", "value": 2}]),
        ([{"a": 1, "b": 2}, 5], [{"a": 1, "b": 3}, 5], [{"op": "replace", "path": "/0/b", "value": 3}]),
        ([[1, 2], 3], [[1, 2, 4], 3], [{"op": "add", "path": "/0/2", "value": 4}]),
        (
            ["a", "b", "c", "d"],
            ["b", "c", "x", "d"],
            [{"op": "add", "path": "/3", "value": "x"}, {"op": "remove", "path": "/0"}],
        ),
    ],
)
def test_a_small_change_of_an_array_is_a_small_patch(before: Any, after: Any, operations: Any) -> None:
    assert diff(before, after) == operations


def test_a_thousand_objects_of_which_few_changed_come_to_few_operations() -> None:
    before = [{"id": n, "name": f"n{n}", "tags": ["a", "b"]} for n in range(1000)]
    after = deepcopy(before)
    after[700]["name"] = "changed"
    after.insert(500, {"id": -1})
    del after[10]
    assert [(operation["op"], operation["path"]) for operation in diff(before, after)] == [
        ("replace", "/700/name"),
        ("add", "/500"),
        ("remove", "/10"),
    ]


@pytest.mark.parametrize(
    "before, after, edits",
    [
        # an insertion before an element that changed, too
        ([{"a": 1, "b": 2}], [{"x": 0}, {"a": 1, "b": 3}], [(0, 0, 0, 1), (0, 1, 1, 2)]),
        ([[1, 2, 3]], [[9], [1, 2, 4]], [(0, 0, 0, 1), (0, 1, 1, 2)]),
        # objects with an id are known by it, however much else is like or unlike
        ([{"id": 1, "a": 1}], [{"id": 2, "a": 1}], [(0, 1, 0, 0), (1, 1, 0, 1)]),
        ([{"id": 1, "a": 1}, {"id": 2, "a": 1}], [{"id": 2, "a": 5}], [(0, 1, 0, 0), (1, 2, 0, 1)]),
        # what repeats too often is compared in place
        ([0, 1] * 100 + [7] + [0, 1] * 100, [5, 1] + [0, 1] * 199 + [5], [(0, 1, 0, 1), (200, 201, 200, 201)]),
    ],
)
def test_an_element_is_known_by_its_id_or_its_likeness(before: Any, after: Any, edits: Any) -> None:
    assert align(before, after)[: len(edits)] == edits


def test_a_thousand_objects_are_known_by_their_ids_when_all_have_changed() -> None:
    before = [{"id": n, "at": 1} for n in range(1000)]
    after = [{"id": -1}, *({"id": n, "at": 2} for n in range(1000))]
    assert align(before, after)[0] == (0, 0, 0, 1)
    assert align(before, after)[1:] == [(n, n + 1, n + 1, n + 2) for n in range(1000)]


def test_what_is_shorter_as_a_whole_is_replaced_whole() -> None:
    before = {"kept": 1, "list": list(range(100))}
    assert diff(before, before | {"list": [5]}) == [{"op": "replace", "path": "/list", "value": [5]}]


def test_a_difference_is_never_more_than_a_patch_may_hold() -> None:
    before = ["x" * 50 + str(n) for n in range(3 * MAX_OPERATIONS)]
    assert len(diff(before, before[: 2 * MAX_OPERATIONS])) == MAX_OPERATIONS
    (operation,) = diff(before, before[: 2 * MAX_OPERATIONS - 1])
    assert operation["op"] == "replace"


def test_a_long_name_is_not_repeated_for_every_change_below_it() -> None:
    before = {"n" * 10_000: {str(n): {"a": n, "kept": "x" * 100} for n in range(500)}, "other": 1}
    after = {"n" * 10_000: {str(n): {"a": -n - 1, "kept": "x" * 100} for n in range(500)}, "other": 1}
    (operation,) = diff(before, after)
    assert operation["path"] == pointer("n" * 10_000)
    assert strict(apply_patch(before, [operation], "json")) == strict(after)


def test_wholly_different_arrays_of_few_values_take_bounded_work() -> None:
    before, after = [n % 2 for n in range(50_000)], [n % 3 for n in range(50_000)]
    assert strict(apply_patch(before, diff(before, after), "json")) == strict(after)


def test_arrays_in_many_arrays_are_replaced_whole() -> None:
    before: Any = [1, 2]
    after: Any = [1, 3]
    for _ in range(30):
        before, after = [before, "x"], [after, "x"]
    (operation,) = diff(before, after)
    assert operation["op"] == "replace"
    assert strict(apply_patch(before, [operation], "json")) == strict(after)


LISTS = st.lists(st.integers(0, 6), max_size=14)


@given(LISTS, LISTS)
def test_the_alignment_of_two_arrays_tells_of_every_element(before: list[int], after: list[int]) -> None:
    rebuilt: list[int] = []
    kept = 0
    for start, stop, begin, end in align(before, after):
        assert (stop - start, end - begin) == (1, 1) or (start < stop) != (begin < end)
        rebuilt += before[kept:start]
        assert len(rebuilt) == begin
        rebuilt += after[begin:end]
        kept = stop
    assert rebuilt + before[kept:] == after


def test_a_patch_of_the_difference_is_the_same_every_time() -> None:
    before, after = {"a": [3, 1, 2, 1], "b": {"x": [1]}}, {"b": {"x": [2, 1]}, "a": [1, 2, 2, 3], "c": None}
    assert len({orjson.dumps(diff(deepcopy(before), deepcopy(after))) for _ in range(5)}) == 1
