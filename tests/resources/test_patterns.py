"""A pattern covers what its text says, and live events find exactly the topics of the patterns that cover them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from resources_app.errors import InvalidUri
from resources_app.hub.followers import Following
from resources_app.hub.topics import Topics
from resources_app.patterns import Pattern, Reach, parse_pattern
from resources_app.uris import MAX_URI_BYTES, normalise
from tests.resources.states import event_of

SEGMENTS = st.sampled_from(["a", "b", "ab", "%20", "", "*x", "+"])
PATHS = st.lists(SEGMENTS, min_size=1, max_size=4).map("/".join)
URIS = st.builds("r://{}/{}".format, st.sampled_from(["h", "i"]), PATHS)


def uri_or_none(text: str) -> str | None:
    try:
        return normalise(text)
    except InvalidUri:
        return None


RESOURCES = URIS.map(uri_or_none).filter(lambda uri: uri is not None)
PATTERNS = st.builds(
    "{}{}".format, st.one_of(URIS, st.sampled_from(["r://h", "r://i"])), st.sampled_from(["", "/*", "/+"])
)


def covers(pattern: str, uri: str) -> bool:
    """The contract's words as a program: an exact URI, all below, or one level."""
    if pattern.endswith("/*"):
        return uri.startswith(pattern[:-1]) and uri != pattern[:-1]
    if pattern.endswith("/+"):
        rest = uri.removeprefix(pattern[:-1])
        return uri.startswith(pattern[:-1]) and rest != "" and "/" not in rest
    return uri == pattern


def parsed(text: str) -> Pattern | None:
    try:
        return parse_pattern(text)
    except InvalidUri:
        return None


@given(PATTERNS, RESOURCES)
def test_a_pattern_covers_what_its_text_says(text: str, uri: str) -> None:
    pattern = parsed(text)
    if pattern is not None:
        assert str(pattern) == text
        assert pattern.covers(uri) == covers(text, uri)


@given(st.lists(PATTERNS, max_size=12), RESOURCES)
def test_an_event_finds_exactly_the_topics_that_cover_it(texts: list[str], uri: str) -> None:
    patterns = {pattern for text in texts if (pattern := parsed(text)) is not None}
    topics = Topics()
    for pattern in patterns:
        topics.of(Following(subscription="s", pattern=pattern), 0)
    found = [topic.pattern for topic in topics.matching(event_of(uri))]
    assert len(found) == len(set(found))
    assert set(found) == {pattern for pattern in patterns if pattern.covers(uri)}


@given(PATTERNS, RESOURCES)
def test_everything_that_a_pattern_covers_sorts_between_its_ends(text: str, uri: str) -> None:
    pattern = parsed(text)
    if pattern is not None and not pattern.is_exact and pattern.covers(uri):
        assert pattern.prefix < uri < pattern.end


def test_all_of_an_authority_can_be_followed() -> None:
    assert parse_pattern("Resource://Example.com/*") == Pattern("resource://example.com/", Reach.BELOW)
    assert parse_pattern("resource://example.com/a%7e/+") == Pattern("resource://example.com/a~/", Reach.LEVEL)
    assert parse_pattern("resource://example.com/a") == Pattern("resource://example.com/a", Reach.EXACT)


@pytest.mark.parametrize(
    "text",
    ["", "*", "/*", "resource:///*", "resource://example.com/../*", "resource://a@b/*", "resource://example.com"],
)
def test_what_is_no_uri_makes_no_pattern(text: str) -> None:
    with pytest.raises(InvalidUri):
        parse_pattern(text)


def test_a_pattern_is_not_longer_than_a_uri() -> None:
    longest = "resource://example.com/" + "a" * (MAX_URI_BYTES - len("resource://example.com//*")) + "/*"
    assert str(parse_pattern(longest)) == longest
    with pytest.raises(InvalidUri):
        parse_pattern(longest.replace("aa", "aaa", 1))
