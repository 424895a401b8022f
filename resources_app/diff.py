"""What changed between two JSON values, as a JSON Patch (RFC 6902), and between two arrays, element by element.

Not jsonpatch.make_patch: it takes 8 ms for one changed field in 100 KB, and tells nothing of how arrays align, which a
merge has to know.
"""

from bisect import bisect_left
from collections import Counter
from collections.abc import Hashable, Sequence
from typing import Any, NamedTuple

import orjson

from resources_app.patch import MAX_OPERATIONS

FEW_OPERATIONS = 10
"""So many operations in one value are taken without asking whether the value itself would be shorter."""
MAX_NESTED_ARRAYS = 16
"""An array inside so many others is replaced whole: each array that encloses an element costs reading it once more."""
MATCHES_PER_ELEMENT = 8
"""When elements repeat more than this on average, only those that occur once hold two arrays together."""


class Span(NamedTuple):
    """One edit of an array: elements `start` up to `stop` of the old one became `begin` up to `end` of the new one.

    Either one element replaced by one, or elements removed (`begin == end`), or inserted (`start == stop`).
    """

    start: int
    stop: int
    begin: int
    end: int


def diff(before: Any, after: Any) -> list[dict[str, Any]]:
    """The operations (add, remove, replace) that turn one JSON value into another; none when they are the same.

    Values are as orjson reads them; 1, 1.0 and true differ, 0.0 and -0.0 too, the order of an object's names does not
    count. Deterministic. Never more than MAX_OPERATIONS: what would take more, or would be longer than the new value,
    is replaced whole. The operations share their values with `after`.
    """
    return _changes(before, after, 0)


def align(before: Sequence[Any], after: Sequence[Any]) -> list[Span]:
    """The edits between two arrays, in order; what lies between them is the same in both.

    They follow a longest common subsequence, or where elements repeat too often for that, one of the elements that
    occur once. Deterministic; n log n.
    """
    first = _agreeing(before, after)
    last = _agreeing(before[first:][::-1], after[first:][::-1])
    old_end, new_end = len(before) - last, len(after) - last
    pairs = _longest(_identities(before[first:old_end]), _identities(after[first:new_end]), first)
    spans: list[Span] = []
    i = j = first
    for start, begin in [*pairs, (old_end, new_end)]:
        if i < start or j < begin:
            spans += _edits(i, start, j, begin)
        i, j = start + 1, begin + 1
    return spans


def pointer(*names: str | int) -> str:
    """The JSON Pointer (RFC 6901) that leads through the names, from the whole value on."""
    return "".join("/" + str(name).replace("~", "~0").replace("/", "~1") for name in names)


def _changes(before: Any, after: Any, nested: int) -> list[dict[str, Any]]:
    """`nested` counts the arrays around the value."""
    kind = type(before)
    if kind is type(after):
        if kind is dict:
            return _shortest(_object_changes(before, after, nested), after)
        if kind is list:
            return _shortest(_array_changes(before, after, nested), after)
        if before == after and (kind is not float or str(before) == str(after)):
            return []
    return [{"op": "replace", "path": "", "value": after}]


def _object_changes(before: dict[str, Any], after: dict[str, Any], nested: int) -> list[dict[str, Any]]:
    changes: list[dict[str, Any]] = []
    for name, old in before.items():
        if name in after:
            if inner := _changes(old, after[name], nested):
                changes += _below(name, inner)
        else:
            changes.append({"op": "remove", "path": pointer(name)})
    changes += [{"op": "add", "path": pointer(name), "value": after[name]} for name in after if name not in before]
    return changes


def _array_changes(before: list[Any], after: list[Any], nested: int) -> list[dict[str, Any]]:
    """From the end to the beginning, so that every index is one of the array as it was."""
    if nested == MAX_NESTED_ARRAYS:
        return [] if _identity(before) == _identity(after) else [{"op": "replace", "path": "", "value": after}]
    changes: list[dict[str, Any]] = []
    spans = align(before, after)
    if len(spans) > MAX_OPERATIONS:
        return [{"op": "replace", "path": "", "value": after}]
    for start, stop, begin, end in reversed(spans):
        if start < stop and begin < end:
            changes += _below(start, _changes(before[start], after[begin], nested + 1))
        changes += [{"op": "remove", "path": pointer(i)} for i in reversed(range(start, stop)) if begin == end]
        changes += [
            {"op": "add", "path": pointer(start), "value": after[j]}
            for j in reversed(range(begin, end))
            if start == stop
        ]
    return changes


def _below(name: str | int, changes: list[dict[str, Any]]) -> list[dict[str, Any]]:
    prefix = pointer(name)
    for change in changes:
        change["path"] = prefix + change["path"]
    return changes


def _shortest(changes: list[dict[str, Any]], after: Any) -> list[dict[str, Any]]:
    if len(changes) <= FEW_OPERATIONS:
        return changes
    whole = [{"op": "replace", "path": "", "value": after}]
    if len(changes) > MAX_OPERATIONS or len(orjson.dumps(changes)) > len(orjson.dumps(whole)):
        return whole
    return changes


def _edits(start: int, stop: int, begin: int, end: int) -> list[Span]:
    """The edits of a stretch that has nothing in common: elements replaced one by one, then the rest."""
    pairs = min(stop - start, end - begin)
    replaced = [Span(start + n, start + n + 1, begin + n, begin + n + 1) for n in range(pairs)]
    rest = Span(start + pairs, stop, begin + pairs, end)
    return replaced if rest.start == rest.stop and rest.begin == rest.end else [*replaced, rest]


def _identity(value: Any) -> Hashable:
    """Equal for the same values only."""
    return value if type(value) in (str, int) else orjson.dumps(value, option=orjson.OPT_SORT_KEYS)


def _identities(values: Sequence[Any]) -> list[Hashable]:
    return [_identity(value) for value in values]


def _agreeing(olds: Sequence[Any], news: Sequence[Any]) -> int:
    """How many elements at the beginning are the same. Keeps none of their identities: memory is what costs here."""
    for i, (old, new) in enumerate(zip(olds, news, strict=False)):
        if _identity(old) != _identity(new):
            return i
    return min(len(olds), len(news))


def _longest(olds: Sequence[Hashable], news: Sequence[Hashable], offset: int) -> list[tuple[int, int]]:
    """The pairs of indices, each plus `offset`, of a longest common subsequence.

    After Hunt and Szymanski (1977), over all matches unless they are too many.
    """
    places: dict[Hashable, list[int]] = {}
    for j, new in enumerate(news):
        places.setdefault(new, []).append(j)
    matches = [places.get(old, ()) for old in olds]
    if sum(map(len, matches)) > MATCHES_PER_ELEMENT * (len(olds) + len(news)):
        once = {old for old, count in Counter(olds).items() if count == 1}
        matches = [js if len(js) == 1 and old in once else () for js, old in zip(matches, olds, strict=True)]
    # ends[n]: where in `news` the best common subsequence of length n + 1 so far ends; tails[n]: that subsequence
    ends: list[int] = []
    tails: list[Any] = []
    for i, js in enumerate(matches):
        for j in reversed(js):
            n = bisect_left(ends, j)
            tail = (i, j, tails[n - 1] if n else None)
            if n == len(ends):
                ends.append(j)
                tails.append(tail)
            elif j < ends[n]:
                ends[n], tails[n] = j, tail
    pairs = []
    last = tails[-1] if tails else None
    while last:
        i, j, last = last
        pairs.append((offset + i, offset + j))
    return pairs[::-1]
