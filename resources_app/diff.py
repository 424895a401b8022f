"""What changed between two JSON values, as a JSON Patch (RFC 6902), and between two arrays, element by element.

Not jsonpatch.make_patch: it takes 8 ms for one changed field in 100 KB, and tells nothing of how arrays align, which a
merge has to know.
"""

from bisect import bisect_left
from collections import Counter
from collections.abc import Hashable, Iterable, Iterator, Sequence
from typing import Any, NamedTuple

import orjson

from resources_app.patch import MAX_OPERATIONS

FEW_OPERATIONS = 10
"""So many operations in one value are taken without asking whether the value itself would be shorter."""
MAX_NESTED_ARRAYS = 16
"""An array inside so many others is replaced whole: each array that encloses an element costs reading it once more."""
MATCHES_PER_ELEMENT = 8
"""When elements repeat more than this on average, only those that occur once hold two arrays together."""
MAX_ALIGNED = 20_000
"""A stretch with more elements than this, old and new, is compared in place, or replaced whole if it grew or shrank."""
COMPARISONS_PER_ELEMENT = 4
"""A stretch whose elements would have to be compared with more others than this, on average, is paired in order."""
MAX_REPEATED_CHARACTERS = 65_536
"""A value whose name would come to more than this in the paths of its changes is replaced whole."""
BLOCK = 64
"""So many elements are compared at once."""

Pair = tuple[int, int]


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
    occur once. In the rest, objects with the same `id` are the same element, those with different ones are not, and
    what is most alike is taken for a replacement. Deterministic; n log n.
    """
    first = _agreeing(before, after)
    if first == len(before) == len(after):
        return []
    last = _agreeing(before[first + 1 :][::-1], after[first + 1 :][::-1])
    olds, news = before[first : len(before) - last], after[first : len(after) - last]
    if len(olds) == len(news) == 1 or len(olds) + len(news) > MAX_ALIGNED:
        return list(_edits(olds, news, _in_place(olds, news), first, first))
    spans: list[Span] = []
    i = j = 0
    for p, q in [*_longest(_identities(olds), _identities(news)), (len(olds), len(news))]:
        spans += _edits(olds[i:p], news[j:q], _replaced(olds[i:p], news[j:q]), first + i, first + j)
        i, j = p + 1, q + 1
    return spans


def same(one: Any, other: Any) -> bool:
    """Whether two JSON values are the same, strictly by type."""
    kind = type(one)
    # Python's own comparison takes 1 and 1.0 inside a value, and 0.0 and -0.0, for the same
    return (
        kind is type(other) and one == other and (kind not in (dict, list, float) or _identity(one) == _identity(other))
    )


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
    return _whole(after)


def _object_changes(before: dict[str, Any], after: dict[str, Any], nested: int) -> list[dict[str, Any]]:
    changes: list[dict[str, Any]] = []
    for name, old in before.items():
        if name in after:
            if inner := _changes(old, after[name], nested):
                repeated = len(inner) * len(name)
                changes += _below(name, inner if repeated <= MAX_REPEATED_CHARACTERS else _whole(after[name]))
        else:
            changes.append({"op": "remove", "path": pointer(name)})
    changes += [{"op": "add", "path": pointer(name), "value": after[name]} for name in after if name not in before]
    return changes


def _array_changes(before: list[Any], after: list[Any], nested: int) -> list[dict[str, Any]]:
    """From the end to the beginning, so that every index is one of the array as it was."""
    if nested == MAX_NESTED_ARRAYS:
        return [] if same(before, after) else _whole(after)
    spans = align(before, after)
    if sum(max(span.stop - span.start, span.end - span.begin) for span in spans) > MAX_OPERATIONS:
        return _whole(after)
    changes: list[dict[str, Any]] = []
    for start, stop, begin, end in reversed(spans):
        if start == stop:
            changes += [{"op": "add", "path": pointer(start), "value": value} for value in reversed(after[begin:end])]
        elif begin == end:
            changes += [{"op": "remove", "path": pointer(i)} for i in reversed(range(start, stop))]
        else:
            changes += _below(start, _changes(before[start], after[begin], nested + 1))
    return changes


def _below(name: str | int, changes: list[dict[str, Any]]) -> list[dict[str, Any]]:
    prefix = pointer(name)
    for change in changes:
        change["path"] = prefix + change["path"]
    return changes


def _shortest(changes: list[dict[str, Any]], after: Any) -> list[dict[str, Any]]:
    if len(changes) <= FEW_OPERATIONS:
        return changes
    whole = _whole(after)
    if len(changes) > MAX_OPERATIONS or len(orjson.dumps(changes)) > len(orjson.dumps(whole)):
        return whole
    return changes


def _whole(after: Any) -> list[dict[str, Any]]:
    return [{"op": "replace", "path": "", "value": after}]


def _identity(value: Any) -> Hashable:
    """Equal for the same values only."""
    return value if type(value) in (str, int) else orjson.dumps(value, option=orjson.OPT_SORT_KEYS)


def _identities(values: Sequence[Any]) -> list[Hashable]:
    return [_identity(value) for value in values]


def _agreeing(olds: Sequence[Any], news: Sequence[Any]) -> int:
    """How many elements at the beginning are the same: block by block, which is quick, then one by one."""
    shorter = min(len(olds), len(news))
    start = 0
    while start < shorter and same(olds[start : start + BLOCK], news[start : start + BLOCK]):
        start += BLOCK
    while start < shorter and same(olds[start], news[start]):
        start += 1
    return min(start, shorter)


def _longest(olds: Sequence[Hashable], news: Sequence[Hashable]) -> list[Pair]:
    """The indices of a longest common subsequence, after Hunt and Szymanski (1977).

    Over all matches, or over those of what occurs once where they are too many.
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
        pairs.append((i, j))
    return pairs[::-1]


def _edits(
    olds: Sequence[Any], news: Sequence[Any], replaced: Iterable[Pair], start: int, begin: int
) -> Iterator[Span]:
    """The edits of a stretch, which begins at `start` and `begin` of the arrays, when some elements replace others."""
    i = j = 0
    for p, q in [*replaced, (len(olds), len(news))]:
        if i < p:
            yield Span(start + i, start + p, begin + j, begin + j)
        if j < q:
            yield Span(start + p, start + p, begin + j, begin + q)
        if p < len(olds) and not same(olds[p], news[q]):
            yield Span(start + p, start + p + 1, begin + q, begin + q + 1)
        i, j = p + 1, q + 1


def _replaced(olds: Sequence[Any], news: Sequence[Any]) -> list[Pair]:
    """The indices of elements that are taken for the same one, changed: by their ids, then by likeness."""
    if not olds or not news:
        return []
    pairs: list[Pair] = []
    i = j = 0
    for p, q in [*_longest([_id(old) for old in olds], [_id(new) for new in news]), (len(olds), len(news))]:
        pairs += ((i + n, j + m) for n, m in _likest(olds[i:p], news[j:q]))
        pairs += [(p, q)] * (p < len(olds))
        i, j = p + 1, q + 1
    return pairs


def _id(value: Any) -> Hashable:
    """Equal for objects with the same `id` only."""
    return _identity(value["id"]) if type(value) is dict and "id" in value else object()


def _likest(olds: Sequence[Any], news: Sequence[Any]) -> list[Pair]:
    """The pairing in order that is the likest as a whole; one by one where it would take too long to find."""
    if len(olds) * len(news) > COMPARISONS_PER_ELEMENT * (len(olds) + len(news)):
        return [(n, n) for n, (old, new) in enumerate(zip(olds, news, strict=False)) if _may_be_one(old, new)]
    # best[n][m]: how like the best pairing of the elements from n and m on is
    likeness = [[_likeness(old, new) for new in news] for old in olds]
    best = [[0] * (len(news) + 1) for _ in range(len(olds) + 1)]
    for n in reversed(range(len(olds))):
        for m in reversed(range(len(news))):
            best[n][m] = max(likeness[n][m] + best[n + 1][m + 1], best[n + 1][m], best[n][m + 1])
    pairs: list[Pair] = []
    n = m = 0
    while n < len(olds) and m < len(news):
        if likeness[n][m] and best[n][m] == likeness[n][m] + best[n + 1][m + 1]:
            pairs.append((n, m))
            n, m = n + 1, m + 1
        elif best[n][m] == best[n + 1][m]:
            n += 1
        else:
            m += 1
    return pairs


def _likeness(old: Any, new: Any) -> int:
    """How like two different elements are: 0 when they cannot be the same one, 1 when they have nothing in common."""
    if type(old) is dict and type(new) is dict:
        alike = sum(1 for name, value in old.items() if name in new and value == new[name])
        return 1 + 2 * alike if _may_be_one(old, new) else 0
    if type(old) is list and type(new) is list:
        return 1 + 2 * sum(1 for one, other in zip(old, new, strict=False) if one == other)
    return 1


def _may_be_one(old: Any, new: Any) -> bool:
    """Whether one element may have become the other: not when they are objects with different ids."""
    if type(old) is dict and type(new) is dict and "id" in old and "id" in new:
        return same(old["id"], new["id"])
    return True


def _in_place(olds: Sequence[Any], news: Sequence[Any]) -> list[Pair]:
    """The pairing one by one, of stretches that are equally long."""
    if len(olds) != len(news):
        return []
    return [(n, n) for n, (old, new) in enumerate(zip(olds, news, strict=True)) if _may_be_one(old, new)]
