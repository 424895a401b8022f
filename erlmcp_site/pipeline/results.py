"""What results may hold: every name is declared, so that nothing leaves because somebody added a field somewhere.

What has been encoded already (orjson.Fragment, RawContent) is not looked into: that is what the hot path returns, and
tests/pipeline/test_results.py holds its encoders to the same declarations.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class Shape:
    """The names that an object may have; `nested` are the shapes of those that are objects, or arrays of objects.

    Other names may hold any JSON value.
    """

    names: frozenset[str]
    nested: Mapping[str, "Shape"] = field(default_factory=dict)


class Undeclared(RuntimeError):
    """A result has a name that its method does not declare: a defect of ours. The message has no values."""


def shape(*names: str, **nested: Shape) -> Shape:
    """The shape of an object with these names, and with objects of these shapes in it."""
    return Shape(frozenset((*names, *nested)), nested)


def hold(result: Any, declared: Shape) -> None:
    """Raise Undeclared when a result has a name that is not declared."""
    if type(result) is dict:
        _hold(result, declared)


def _hold(value: dict[str, Any], declared: Shape) -> None:
    if not value.keys() <= declared.names:
        raise Undeclared(f"undeclared in a result: {', '.join(sorted(map(str, value.keys() - declared.names)))}")
    for name, inner in declared.nested.items():
        found = value.get(name)
        for item in found if isinstance(found, list) else (found,):
            if type(item) is dict:
                _hold(item, inner)
