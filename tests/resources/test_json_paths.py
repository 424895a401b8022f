"""Places in JSON values, found by JSONPath with bounded work."""

from typing import Any

import pytest
from hypothesis import given, settings

from audit_app.errors import InvalidParams
from resources_app.json_paths import MAX_FOUND, MAX_PATH, MAX_STEPS, JsonPath, equal, places
from tests.resources.json_values import values

SHOP = {"stock": [{"n": 1, "of": "nut"}, {"n": 0, "of": "bolt"}], "open": True, "empty": None}
WIDE = {"wide": list(range(MAX_STEPS // 4))}
DEEP: Any = 1
for _ in range(60):
    DEEP = [DEEP]


@pytest.mark.parametrize(
    ("path", "found"),
    [
        ("$", ["$"]),
        ("$.stock[0].n", ["$['stock'][0]['n']"]),
        ("$.stock[-1]", ["$['stock'][1]"]),
        ("$..n", ["$['stock'][0]['n']", "$['stock'][1]['n']"]),
        ("$.stock[?@.n > 0].of", ["$['stock'][0]['of']"]),
        ("$.stock[?@.of == 'bolt']", ["$['stock'][1]"]),
        ("$[?count(@.*) == 2]", ["$['stock']"]),
        ("$.stock[?length(@.of) == 4]", ["$['stock'][1]"]),
        ("$.empty", ["$['empty']"]),
        ("$.none", None),
        ("$.stock[2]", None),
        ("$.open.deeper", None),
    ],
)
def test_a_path_finds_places_in_their_normal_spelling(path: str, found: list[str] | None) -> None:
    assert places(JsonPath(path), SHOP) == found


@pytest.mark.parametrize(
    ("path", "wanted", "found"),
    [
        ("$..n", 1, ["$['stock'][0]['n']"]),
        ("$..n", 1.0, ["$['stock'][0]['n']"]),
        ("$..n", True, None),
        ("$.open", True, ["$['open']"]),
        ("$.open", 1, None),
        ("$.empty", None, ["$['empty']"]),
        ("$.none", None, None),
        ("$.stock[0]", {"of": "nut", "n": 1}, ["$['stock'][0]"]),
        ("$.stock[0]", {"of": "nut", "n": True}, None),
        ("$.stock[*].of", "bolt", ["$['stock'][1]['of']"]),
    ],
)
def test_a_value_is_found_where_it_is(path: str, wanted: object, found: list[str] | None) -> None:
    assert places(JsonPath(path), SHOP, wanted) == found


def test_a_value_that_is_no_object_or_array_is_only_found_whole() -> None:
    assert places(JsonPath("$"), 5, 5) == ["$"]
    assert places(JsonPath("$.a"), "a") is None
    assert places(JsonPath("$[0]"), "text") is None


def test_so_many_places_are_told_and_no_long_ones() -> None:
    assert places(JsonPath("$[*]"), [0] * 50) == [f"$[{index}]" for index in range(MAX_FOUND)]
    assert places(JsonPath("$.*"), {"n" * 5000: 1}) == []


@settings(max_examples=30)
@given(values(6), values(6))
def test_values_are_equal_to_themselves_and_numbers_by_their_value(one: Any, other: Any) -> None:
    assert equal(one, one)
    assert equal(one, other) == equal(other, one)
    assert equal([one, 1], [one, 1.0]) and not equal([one, 1], [one, True])


@pytest.mark.parametrize(
    "path",
    [
        *("", "stock", "$.", "$[", "$[?]", "$.a b", " $", "$.stock[?@.n in 3]", "$[99999999999999999999]"),
        *("$.stock[?match(@.of, '(a*)*b')]", "$.stock[?search(@.of, 'n')]", "$.stock[?nope(@)]"),
        *("$" + "[?@" * 90 + "]" * 90, "$" + "[?@" * 99, "$" + ".a" * MAX_PATH),
        "$[?@..n == 1]",
    ],
)
def test_what_is_no_path_is_refused(path: str) -> None:
    with pytest.raises(InvalidParams):
        places(JsonPath(path), SHOP)


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("$" + "[*,*,*]" * 50 + ".z", DEEP),
        ("$[?" + " || ".join(["1 == 2"] * 30) + "]", WIDE["wide"]),
        ("$[?@[?@..*]]", [[[[1] * 100] * 100] * 100]),
        ("$.wide[?$.wide[?@ == 0] && @ == -1]", WIDE),
    ],
)
def test_a_path_that_takes_too_much_work_is_refused_and_not_tried_to_its_end(path: str, value: Any) -> None:
    with pytest.raises(InvalidParams, match="too much work"):
        places(JsonPath(path), value, "nowhere")


def test_long_names_are_not_repeated_for_everything_below_them() -> None:
    """As texts the paths of all that is looked at here would be 10 GB."""
    value = {"n" * 500_000: list(range(20_000))}
    assert places(JsonPath("$.*[*]"), value, "nowhere") is None
    assert places(JsonPath("$[?@.*]"), {"a": value}) == ["$['a']"]


def test_a_path_may_go_as_deep_as_content_may_be() -> None:
    assert places(JsonPath("$" + "[0]" * 60), DEEP, 1) == ["$" + "[0]" * 60]
