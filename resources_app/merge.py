"""Three-way merge of JSON values (seed §10.2): what two sides made of the same base, brought together.

A pure function of its three values. What holds (tests/resources/test_merge.py):

- A place that only one side changed is as that side has it; one that both changed alike is as both have it.
- Objects are merged name by name. A name that both added with different values is a conflict there.
- Arrays are aligned with the base (resources_app/diff.py). Edits of different elements, insertions at different places
  and changes inside one element merge; different insertions at one place are a conflict there.
- What one side removed and the other changed, inside it or as a whole, is a conflict where it was removed. So is an
  insertion between elements that the other side removed.
- Anything else that both sides changed differently is a conflict there.
- Exchanging the two sides gives the same conflicts, and the same value up to the order of names.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from resources_app.diff import MAX_NESTED_ARRAYS, align, pointer, same

MAX_CHARACTERS = 16_384
"""Of the paths of all conflicts together: they go into answers and the audit trail."""


@dataclass(frozen=True, slots=True)
class Merged:
    """What a merge came to: a value, which counts only when there are no conflicts.

    `conflicts` are JSON Pointers, sorted and each once; the indices of arrays in them are those of the base, and for an
    insertion where in the base it was made. "" is the whole value. Where they would be longer than MAX_CHARACTERS
    together, what holds them all is named instead.
    """

    value: Any
    conflicts: Sequence[str]


def merge(base: Any, mine: Any, theirs: Any) -> Merged:
    """Bring two sides together. The value shares its parts with all three.

    Names are in the order of `theirs`, then come those that only `mine` has.
    """
    conflicts: list[str] = []
    value = _merge(base, mine, theirs, 0, conflicts)
    _below("", conflicts, 0)
    return Merged(value, sorted(set(conflicts)))


class _Absent:
    """What an object has under a name that it does not have, and an array in place of an element that was removed."""


ABSENT: Final = _Absent()


@dataclass(slots=True)
class _Edits:
    """What one side did to an array: by index of the base, what elements became and what was inserted before them."""

    became: dict[int, Any] = field(default_factory=dict)
    inserted: dict[int, list[Any]] = field(default_factory=dict)

    @classmethod
    def of(cls, base: list[Any], side: list[Any]) -> "_Edits":
        edits = cls()
        for start, stop, begin, end in align(base, side):
            if start == stop:
                edits.inserted[start] = side[begin:end]
            elif begin == end:
                edits.became.update(dict.fromkeys(range(start, stop), ABSENT))
            else:
                edits.became[start] = side[begin]
        return edits

    def removed_around(self, index: int) -> bool:
        """Whether the elements before and behind the place are both gone."""
        return self.became.get(index - 1) is ABSENT and self.became.get(index) is ABSENT


def _merge(base: Any, mine: Any, theirs: Any, nested: int, conflicts: list[str]) -> Any:
    """`nested` counts the arrays around the place; the conflicts found are appended, with their paths from here on."""
    kind = type(base)
    if kind is type(mine) is type(theirs):
        if kind is dict:
            return _merge_objects(base, mine, theirs, nested, conflicts)
        if kind is list and nested < MAX_NESTED_ARRAYS:
            return _merge_arrays(base, mine, theirs, nested, conflicts)
    if _same(base, mine) or _same(mine, theirs):
        return theirs
    if not _same(base, theirs):
        conflicts.append("")
    return mine


def _merge_objects(
    base: dict[str, Any], mine: dict[str, Any], theirs: dict[str, Any], nested: int, conflicts: list[str]
) -> dict[str, Any]:
    merged: dict[str, Any] = {}
    for name in theirs if theirs.keys() >= mine.keys() else {**theirs, **mine}:
        found = len(conflicts)
        value = _merge(base.get(name, ABSENT), mine.get(name, ABSENT), theirs.get(name, ABSENT), nested, conflicts)
        if len(conflicts) > found:
            _below(pointer(name), conflicts, found)
        if value is not ABSENT:
            merged[name] = value
    return merged


def _merge_arrays(base: list[Any], mine: list[Any], theirs: list[Any], nested: int, conflicts: list[str]) -> list[Any]:
    own, other = _Edits.of(base, mine), _Edits.of(base, theirs)
    merged: list[Any] = []
    kept = 0
    for index in sorted({*own.became, *other.became, *own.inserted, *other.inserted}):
        merged += base[kept:index]
        kept = index + 1
        found = len(conflicts)
        merged += _insertion(own, other, index, conflicts)
        if index < len(base):
            value = base[index]
            value = _merge(value, own.became.get(index, value), other.became.get(index, value), nested + 1, conflicts)
            if value is not ABSENT:
                merged.append(value)
        if len(conflicts) > found:
            _below(pointer(index), conflicts, found)
    return merged + base[kept:]


def _insertion(own: _Edits, other: _Edits, index: int, conflicts: list[str]) -> Iterable[Any]:
    """What comes in before an element."""
    mine, theirs = own.inserted.get(index, []), other.inserted.get(index, [])
    collide = bool(mine and theirs) and not same(mine, theirs)
    if collide or (mine and other.removed_around(index)) or (theirs and own.removed_around(index)):
        conflicts.append("")
    return theirs or mine


def _below(prefix: str, conflicts: list[str], found: int) -> None:
    """Let the paths from `found` on begin with a prefix; all of them become that prefix when they grow too long."""
    inner = conflicts[found:]
    long = sum(map(len, inner)) + len(prefix) * len(inner) > MAX_CHARACTERS
    conflicts[found:] = [prefix] if long else [prefix + path for path in inner]


def _same(one: Any, other: Any) -> bool:
    return one is other or (one is not ABSENT and same(one, other))
