"""JSON values of every kind for tests with random data, and what it means that two are the same."""

from typing import Any

from hypothesis import strategies as st

NAMES = st.sampled_from(["a", "b", "c", "", "0", "-", "~", "/", "~1", "ä"]) | st.text(max_size=3)
SCALARS = (
    st.none()
    | st.booleans()
    | st.integers(-2, 2)
    | st.sampled_from([0.0, -0.0, 1.0, 0.5])
    | st.sampled_from(["", "a", "b", "1", "true"])
    | st.integers(-(2**63), 2**63 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
)


def values(max_leaves: int = 20) -> st.SearchStrategy[Any]:
    """Any JSON value; small ones, so that two are often alike."""
    return st.recursive(
        SCALARS,
        lambda inner: st.lists(inner, max_size=6) | st.dictionaries(NAMES, inner, max_size=5),
        max_leaves=max_leaves,
    )


@st.composite
def edited(draw: st.DrawFn, value: Any) -> Any:
    """The value with some of it changed, added or removed, at any depth."""
    match draw(st.integers(0, 9)):
        case 0:
            return draw(values(4))
        case 1 | 2 if isinstance(value, dict):
            return {name: value[name] for name in draw(st.permutations(list(value)))[1:]} | draw(
                st.dictionaries(NAMES, values(2), max_size=1)
            )
        case 1 | 2 if isinstance(value, list):
            start, stop = sorted((draw(st.integers(0, len(value))), draw(st.integers(0, len(value)))))
            return value[:start] + draw(st.lists(values(2), max_size=2)) + value[stop:]
    if isinstance(value, dict):
        return {name: draw(edited(inner)) if draw(st.booleans()) else inner for name, inner in value.items()}
    if isinstance(value, list):
        return [draw(edited(inner)) if draw(st.booleans()) else inner for inner in value]
    return value


def strict(value: Any) -> Any:
    """Equal for the same JSON values only: 1, 1.0 and true differ, 0.0 and -0.0 too; an object's order is no matter."""
    if isinstance(value, dict):
        return "object", frozenset((name, strict(inner)) for name, inner in value.items())
    if isinstance(value, list):
        return "array", tuple(strict(inner) for inner in value)
    return type(value).__name__, repr(value)
