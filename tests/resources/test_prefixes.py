"""A URI belongs to the longest retention prefix around it; a pattern begins where the last part of its reach does."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from resources_app.errors import Reset
from resources_app.log.head import Bounds
from resources_app.log.prefixes import REST, divided, prefix_of
from resources_app.patterns import parse_pattern

HOST = "resource://h/"
URIS = [HOST + path for path in ("a", "b/", "a/b", "a/b/", "a/b/c", "a/bc", "ab/c", "b/c/d")]
PATTERNS = [*URIS, *(HOST + path for path in ("*", "+", "a/*", "a/+", "a/b/*", "a/b/+", "b/*"))]

PREFIXES = st.sampled_from([HOST, f"{HOST}a/", f"{HOST}a/b/", f"{HOST}b/", "resource://other/"])
OFFSETS = st.integers(1, 100)
PARTS = st.builds(lambda rest, prefixes: {REST: rest, **prefixes}, OFFSETS, st.dictionaries(PREFIXES, OFFSETS))


def bounds_of(parts: dict[str, int]) -> Bounds:
    return Bounds(200, parts[REST], {prefix: earliest for prefix, earliest in parts.items() if prefix != REST})


def begins(parts: dict[str, int], uri: str) -> int:
    """Where a URI's events begin, in the words of the rule: the longest prefix that it lies below, else the rest."""
    for size in range(len(uri) - 1, 0, -1):
        if uri[:size] in parts and uri[:size].endswith("/"):
            return parts[uri[:size]]
    return parts[REST]


@given(PARTS, st.sampled_from(URIS))
def test_the_longest_prefix_has_the_uri(parts: dict[str, int], uri: str) -> None:
    assert parts[prefix_of(uri, parts)] == begins(parts, uri)


def test_what_is_named_like_a_prefix_lies_around_it() -> None:
    assert prefix_of(f"{HOST}a/", [HOST, f"{HOST}a/"]) == HOST
    assert prefix_of(f"{HOST}ab", [HOST, f"{HOST}a/"]) == HOST
    assert prefix_of("resource://hh/a/b", [HOST]) == REST


@given(PARTS, st.sampled_from(PATTERNS))
def test_a_pattern_begins_where_nothing_is_missing_of_what_it_can_match(parts: dict[str, int], text: str) -> None:
    pattern = parse_pattern(text)
    candidates = {*URIS, *(folder + "x" for folder in [*parts, pattern.prefix])}
    found = bounds_of(parts).of(pattern)
    assert found.head == 200
    assert found.earliest == max(begins(parts, uri) for uri in candidates if pattern.covers(uri))


@given(PARTS)
def test_everything_begins_where_its_last_part_does(parts: dict[str, int]) -> None:
    assert bounds_of(parts).of(None).earliest == max(parts.values())


@given(PARTS, st.frozensets(PREFIXES))
def test_dividing_moves_the_beginning_of_no_uri(parts: dict[str, int], wanted: frozenset[str]) -> None:
    after = divided(parts, wanted)
    assert [begins(after, uri) for uri in URIS] == [begins(parts, uri) for uri in URIS]
    assert {REST, *wanted} <= after.keys() <= {*parts, *wanted}
    assert divided(after, wanted) == after


def test_a_prefix_that_is_not_wanted_any_more_stays_until_what_is_around_it_begins_there() -> None:
    parts = {REST: 10, HOST: 30}
    assert divided(parts, frozenset()) == parts
    assert divided({REST: 30, HOST: 30}, frozenset()) == {REST: 30}
    assert divided({REST: 40, HOST: 30}, frozenset()) == {REST: 40, HOST: 30}


@pytest.mark.parametrize(("after", "is_proven"), [(8, False), (9, True), (20, True), (21, False)])
def test_an_offset_proves_itself_from_right_before_the_earliest_up_to_the_head(after: int, is_proven: bool) -> None:
    kept = Bounds(20, 10)
    if is_proven:
        kept.prove(after)
        return
    with pytest.raises(Reset) as reset:
        kept.prove(after)
    assert reset.value.data == {"earliest": 10, "head": 20}
