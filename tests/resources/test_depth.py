"""How deep JSON is nested, counted without recursion."""

from typing import Any

import orjson
import pytest

from resources_app.depth import is_deeper, is_text_deeper


def test_nothing_nested_is_as_deep_as_nothing() -> None:
    assert not is_deeper(1, 0)
    assert is_deeper([], 0)
    assert not is_deeper({}, 1)


@pytest.mark.parametrize(
    "wrap", [lambda value: [value], lambda value: {"a": value}, lambda value: [1, {"a": value}, []]]
)
def test_arrays_and_objects_count_alike(wrap: Any) -> None:
    value: Any = wrap(1)
    levels = 2 if is_deeper(value, 1) else 1
    assert not is_deeper(value, levels)
    assert is_deeper(wrap(value), levels)
    assert not is_deeper(wrap(value), 2 * levels)


def test_the_deepest_message_there_can_be_is_only_refused() -> None:
    value: Any = 1
    for _ in range(100_000):
        value = [value]
    assert is_deeper(value, 64)
    assert not is_deeper(value, 100_000)
    while isinstance(value, list):
        value = value[0]


def test_brackets_that_are_counted_but_not_nested_are_no_depth() -> None:
    flat: list[Any] = [[], {}, "[[[[["] * 10
    assert not is_text_deeper(orjson.dumps(flat), flat, 2)
    assert is_text_deeper(orjson.dumps([flat]), [flat], 2)
