"""Two sides of one base are brought together, or the places are named where they cannot be."""

from copy import deepcopy
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from resources_app.merge import MAX_CHARACTERS, Merged, merge
from tests.resources.json_values import edited, strict, values

SIDES = values().flatmap(lambda base: st.tuples(st.just(base), edited(base), edited(base)))
ANY_SIDES = SIDES | st.tuples(values(), values(), values())
LISTS = st.lists(
    st.integers(0, 4) | st.fixed_dictionaries({"id": st.integers(0, 4), "a": st.integers(0, 1)}), max_size=8
)

MERGED: dict[str, tuple[Any, Any, Any, Any]] = {
    "nothing changed": ({"a": 1}, {"a": 1}, {"a": 1}, {"a": 1}),
    "different names": ({"a": 1, "b": 2}, {"a": 9, "b": 2}, {"a": 1, "b": 8}, {"a": 9, "b": 8}),
    "different names, deep": ({"x": {"a": 1}}, {"x": {"a": 1, "b": 2}}, {"x": {"a": 3}}, {"x": {"a": 3, "b": 2}}),
    "added by both": ({}, {"a": 1}, {"b": 2}, {"b": 2, "a": 1}),
    "the same change": ({"a": 1}, {"a": 2}, {"a": 2}, {"a": 2}),
    "the same addition": ({}, {"a": [1]}, {"a": [1]}, {"a": [1]}),
    "removed by one": ({"a": 1, "b": 2}, {"b": 2}, {"a": 1, "b": 3}, {"b": 3}),
    "removed by both": ({"a": 1, "b": 2}, {"b": 2}, {"b": 2}, {"b": 2}),
    "another type on one side": ({"a": {"b": 1}}, {"a": [1]}, {"a": {"b": 1}}, {"a": [1]}),
    "null is a value": ({"a": 1}, {"a": None}, {"a": 1, "b": 1}, {"a": None, "b": 1}),
    "different elements": ([1, 2, 3, 4], [9, 2, 3, 4], [1, 2, 3, 8], [9, 2, 3, 8]),
    "neighbouring elements": ([1, 2], [9, 2], [1, 8], [9, 8]),
    "insertions at both ends": ([1, 2], [0, 1, 2], [1, 2, 3], [0, 1, 2, 3]),
    "the same insertion": ([1], [1, 2], [1, 2], [1, 2]),
    "an insertion and a removal": ([1, 2, 3], [1, 2, 3, 4], [2, 3], [2, 3, 4]),
    "an insertion beside a removal": ([1, 2, 3], [1, 2, 9, 3], [1, 3], [1, 9, 3]),
    "overlapping removals": ([1, 2, 3, 4], [1, 4], [1, 2], [1]),
    "inside one element": ([{"a": 1, "b": 1}], [{"a": 2, "b": 1}], [{"a": 1, "b": 2}], [{"a": 2, "b": 2}]),
    "inside an element that moved": (
        [{"id": 1, "a": 1, "b": 1}],
        [{"id": 0}, {"id": 1, "a": 2, "b": 1}],
        [{"id": 1, "a": 1, "b": 2}],
        [{"id": 0}, {"id": 1, "a": 2, "b": 2}],
    ),
    "arrays in arrays": ([[1, 2], [3]], [[1, 2, 9], [3]], [[1, 2], [3, 8]], [[1, 2, 9], [3, 8]]),
    "truth and number": ([1, 0], [True, 0], [1, False], [True, False]),
}

CONFLICTS: dict[str, tuple[Any, Any, Any, list[str]]] = {
    "the same name": ({"n": 1}, {"n": 2}, {"n": 3}, ["/n"]),
    "1, 1.0 and true": ({"n": 0}, {"n": 1}, {"n": 1.0}, ["/n"]),
    "the whole value": (1, 2, 3, [""]),
    "the whole value, by type": ({}, [], None, [""]),
    "several names, sorted": ({}, {"b": 1, "a": 1}, {"a": 2, "b": 2}, ["/a", "/b"]),
    "deep": ({"a": {"b": [0, {"c": 1}]}}, {"a": {"b": [0, {"c": 2}]}}, {"a": {"b": [0, {"c": 3}]}}, ["/a/b/1/c"]),
    "added by both": ({}, {"a": {"x": 1}}, {"a": {"y": 1}}, ["/a"]),
    "removed and changed": ({"a": 1}, {}, {"a": 2}, ["/a"]),
    "removed and changed inside": ({"a": {"b": 1}}, {"a": {"b": 2}}, {}, ["/a"]),
    "names that need escapes": ({"a/b": {"~": 1}}, {"a/b": {"~": 2}}, {"a/b": {"~": 3}}, ["/a~1b/~0"]),
    "the same element": ({"tags": [1, 2, 3, 4]}, {"tags": [1, 2, 3, 8]}, {"tags": [1, 2, 3, 9]}, ["/tags/3"]),
    "an element removed and changed": ([1, 2, 3], [1, 3], [1, 9, 3], ["/1"]),
    "an element removed and changed inside": ([{"a": 1, "b": 1}], [], [{"a": 2, "b": 1}], ["/0"]),
    "insertions at one place": ([1, 2], [1, 8, 2], [1, 9, 2], ["/1"]),
    "additions at the end": ({"a": [1, 2]}, {"a": [1, 2, 8]}, {"a": [1, 2, 9]}, ["/a/2"]),
    "an insertion among what was removed": ([1, 2, 3, 4], [1, 2, 9, 3, 4], [1, 4], ["/2"]),
    "another element in its place": ([{"id": 1, "a": 1}], [{"id": 2, "a": 1}], [{"id": 1, "a": 2}], ["/0"]),
    "all that conflicts": (
        {"a": 1, "b": [1, 2], "c": 1},
        {"a": 2, "b": [1, 3], "c": 2},
        {"a": 3, "b": [1, 4], "c": 1},
        ["/a", "/b/1"],
    ),
}


def swapped(base: Any, mine: Any, theirs: Any) -> Merged:
    return merge(base, theirs, mine)


@pytest.mark.parametrize("name", MERGED)
@pytest.mark.parametrize("how", [merge, swapped])
def test_what_does_not_collide_is_merged(name: str, how: Any) -> None:
    base, mine, theirs, value = MERGED[name]
    merged = how(base, mine, theirs)
    assert (strict(merged.value), merged.conflicts) == (strict(value), [])


@pytest.mark.parametrize("name", CONFLICTS)
@pytest.mark.parametrize("how", [merge, swapped])
def test_what_collides_is_named_by_its_place(name: str, how: Any) -> None:
    base, mine, theirs, conflicts = CONFLICTS[name]
    assert how(base, mine, theirs).conflicts == conflicts


def test_conflicts_that_are_too_many_to_tell_are_told_by_what_holds_them() -> None:
    sides = [{"few": side, "many": {f"{n:05}": side for n in range(MAX_CHARACTERS)}} for side in range(3)]
    assert merge(*sides).conflicts == ["/few", "/many"]
    assert merge(*(side["many"] for side in sides)).conflicts == [""]


def test_long_names_are_not_repeated_for_every_conflict() -> None:
    sides: list[Any] = [{f"{n:05}": side for n in range(2000)} for side in range(3)]
    for _ in range(50):
        sides = [{"n" * 10_000: side} for side in sides]
    assert merge(*sides).conflicts == ["/" + "n" * 10_000]


def test_names_are_in_the_order_of_theirs_and_then_of_mine() -> None:
    merged = merge({"b": 1, "a": 1}, {"z": 1, "b": 2, "a": 1, "y": 1}, {"a": 1, "x": 1, "b": 1})
    assert list(merged.value.items()) == [("a", 1), ("x", 1), ("b", 2), ("z", 1), ("y", 1)]


@given(values(), values())
def test_a_change_of_one_side_is_taken_as_it_is(base: Any, side: Any) -> None:
    for merged in (merge(base, side, base), merge(base, base, side), merge(base, side, side)):
        assert (strict(merged.value), merged.conflicts) == (strict(side), [])


@given(ANY_SIDES)
def test_exchanging_the_sides_gives_the_same(sides: tuple[Any, Any, Any]) -> None:
    base, mine, theirs = sides
    one, other = merge(base, mine, theirs), merge(base, theirs, mine)
    assert one.conflicts == other.conflicts == sorted(set(one.conflicts))
    if not one.conflicts:
        assert strict(one.value) == strict(other.value)


@given(ANY_SIDES)
def test_merging_changes_none_of_its_values_and_does_the_same_every_time(sides: tuple[Any, Any, Any]) -> None:
    before = deepcopy(sides)
    merged = merge(*sides)
    assert strict(list(sides)) == strict(list(before))
    again = merge(*orjson.loads(orjson.dumps(before)))
    assert orjson.dumps([again.value, again.conflicts]) == orjson.dumps([merged.value, merged.conflicts])


@given(st.lists(SIDES, min_size=2, max_size=2))
def test_changes_under_different_names_all_survive(sides: list[tuple[Any, Any, Any]]) -> None:
    (one, one_edited, _), (other, other_edited, _) = sides
    base = {"one": one, "deep": {"other": other}}
    mine, theirs = {"one": one_edited, "deep": {"other": other}}, {"one": one, "deep": {"other": other_edited}}
    merged = merge(base, mine, theirs)
    assert strict(merged.value) == strict({"one": one_edited, "deep": {"other": other_edited}})
    assert merged.conflicts == []


@given(LISTS, LISTS, LISTS, LISTS)
def test_changes_on_two_sides_of_an_element_all_survive(
    left: list[Any], left_edited: list[Any], right: list[Any], right_edited: list[Any]
) -> None:
    merged = merge([*left, "|", *right], [*left_edited, "|", *right], [*left, "|", *right_edited])
    assert strict(merged.value) == strict([*left_edited, "|", *right_edited])
    assert merged.conflicts == []


NAMES = st.sampled_from("abcdef")
FLAT = st.dictionaries(NAMES, st.integers(0, 2))


@given(FLAT, FLAT, FLAT)
def test_flat_objects_conflict_where_both_changed_differently_and_nowhere_else(
    base: dict[str, int], mine: dict[str, int], theirs: dict[str, int]
) -> None:
    merged = merge(base, mine, theirs)
    everything = {f"/{name}" for name in "abcdef"}
    ours, others = (
        {path for path in everything if base.get(path[1:]) != side.get(path[1:])} for side in (mine, theirs)
    )
    differ = {path for path in everything if mine.get(path[1:]) != theirs.get(path[1:])}
    assert merged.conflicts == sorted(ours & others & differ)
    for path in everything - set(merged.conflicts):
        assert merged.value.get(path[1:]) == (mine if path in ours else theirs).get(path[1:])


@st.composite
def side_of(draw: st.DrawFn, base: list[str], mark: str) -> list[str]:
    """The base with some elements removed and some of this side's own inserted."""
    side: list[str] = []
    for index in range(len(base) + 1):
        side += [f"{mark}{index}.{n}" for n in range(draw(st.sampled_from([0, 0, 0, 1, 2])))]
        side += base[index : index + 1] * draw(st.sampled_from([0, 1, 1, 1]))
    return side


BASE = [str(n) for n in range(8)]


@given(side_of(BASE, "m"), side_of(BASE, "t"))
def test_a_merged_array_has_all_that_was_inserted_and_nothing_that_was_removed(
    mine: list[str], theirs: list[str]
) -> None:
    merged = merge(BASE, mine, theirs)
    if not merged.conflicts:
        expected = {*mine, *theirs} - {value for value in BASE if value not in mine or value not in theirs}
        assert len(merged.value) == len(expected)
        assert set(merged.value) == expected
        for side in (mine, theirs):
            assert [value for value in merged.value if value in side] == [value for value in side if value in expected]
