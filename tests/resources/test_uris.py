"""A resource has one spelling of its URI, and a URI that could mean two things is refused."""

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from resources_app.errors import InvalidUri
from resources_app.uris import MAX_URI_BYTES, normalise

SPELLINGS = {
    "resource://example.com/users/123": "resource://example.com/users/123",
    "RESOURCE://Example.COM/Users": "resource://example.com/Users",
    "resource://example.com/%7euser": "resource://example.com/~user",
    "resource://example.com/%41%62": "resource://example.com/Ab",
    "resource://example.com/a%2fb": "resource://example.com/a%2Fb",
    "resource://example.com/a%3fb": "resource://example.com/a%3Fb",
    "resource://example.com/caf\u00e9": "resource://example.com/caf%C3%A9",
    "resource://example.com/caf%c3%a9": "resource://example.com/caf%C3%A9",
    "resource://example.com/\U0001f600": "resource://example.com/%F0%9F%98%80",
    "resource://example.com:8080/a": "resource://example.com:8080/a",
    "resource://[2001:DB8::1]/a": "resource://[2001:db8::1]/a",
    "resource://a%2Db/c": "resource://a-b/c",
    "test://example.com/": None,
    "Test://Static-Text": "test://static-text",
    "test://example.com:80": "test://example.com:80",
    "test+1.2-x://example.com/a": "test+1.2-x://example.com/a",
    "resource://example.com/a/": "resource://example.com/a/",
    "resource://example.com/a//b": "resource://example.com/a//b",
    "resource://example.com/...": "resource://example.com/...",
    "resource://example.com/a.b/..c": "resource://example.com/a.b/..c",
    "resource://example.com/a:b@c;d=e,f!$&'()*+": "resource://example.com/a:b@c;d=e,f!$&'()*+",
    "resource://example.com/*/a": "resource://example.com/*/a",
    "resource://example.com/%2A": "resource://example.com/%2A",
}

REFUSED = [
    "",
    "example.com/a",
    "/a/b",
    "resource:/a",
    "resource:a",
    "resource:///a",
    "resource://",
    "resource://example.com",
    "RESOURCE://example.com",
    "test://",
    "test:static-text",
    "test://..",
    "test://static-text?query",
    "1resource://example.com/a",
    "res\u00f6urce://example.com/a",
    "resource://user@example.com/a",
    "resource://user:pass@example.com/a",
    "resource://user%40example.com/a",
    "resource://@example.com/a",
    "resource://:80/a",
    "resource://example.com:/a",
    "resource://example.com:port/a",
    "resource://[::1/a",
    "resource://exam ple.com/a",
    "resource://b\u00fccher.example/a",
    "resource://../a",
    "resource://./a",
    "resource://%2e%2e/a",
    "resource://example.com/a?query",
    "resource://example.com/a#fragment",
    "resource://example.com/../etc/passwd",
    "resource://example.com/a/..",
    "resource://example.com/a/.",
    "resource://example.com/./a",
    "resource://example.com/%2e%2e/a",
    "resource://example.com/.%2E/a",
    "resource://example.com/%2e/a",
    "resource://example.com/..%2fetc",
    "resource://example.com/a%2f..%2Fb",
    "resource://example.com/a%2F..",
    "resource://example.com/..\\a",
    "resource://example.com/..%5ca",
    "resource://example.com/a\x00b",
    "resource://example.com/a\nb",
    "resource://example.com/a\x7fb",
    "resource://example.com/a%00b",
    "resource://example.com/a%0d%0ab",
    "resource://example.com/a%7Fb",
    "resource://example.com/a\x85b",
    "resource://example.com/a b",
    "resource://example.com/a<b>",
    "resource://example.com/{a}",
    "resource://example.com/a%",
    "resource://example.com/a%2",
    "resource://example.com/a%zz",
    "resource://example.com/\ud800",
    "resource://example.com/*",
    "resource://example.com/a/+",
    "resource://example.com/a\n",
    " resource://example.com/a",
]


@pytest.mark.parametrize(("spelling", "uri"), SPELLINGS.items())
def test_spellings_of_one_uri_become_one(spelling: str, uri: str | None) -> None:
    if uri is None:
        with pytest.raises(InvalidUri):
            normalise(spelling)
    else:
        assert normalise(spelling) == uri


@pytest.mark.parametrize("text", REFUSED)
def test_what_could_mean_two_things_is_refused(text: str) -> None:
    with pytest.raises(InvalidUri):
        normalise(text)


def test_a_uri_has_at_most_2048_bytes_in_its_one_spelling() -> None:
    start = "resource://example.com/"
    longest = start + "a" * (MAX_URI_BYTES - len(start))
    assert normalise(longest) == longest
    for text in (longest + "a", start + "\u00e9" * 700, start + "a" * 3000):
        with pytest.raises(InvalidUri):
            normalise(text)


@given(
    st.builds(
        "{}://{}{}".format,
        st.sampled_from(["resource", "Test", "a+b"]),
        st.sampled_from(["example.com", "A.b", "[::1]", "h:80", "%41b"]),
        st.lists(
            st.one_of(
                st.sampled_from(["%2e", "%2F", "%41", "%c3%a9", "%25", "%5B", "..", ".", "*", "+", "a"]),
                st.text(max_size=4),
            ),
            max_size=6,
        ).map(lambda parts: "/".join(["", "".join(parts)]) if parts else ""),
    )
)
def test_the_one_spelling_of_a_uri_is_its_own(text: str) -> None:
    try:
        uri = normalise(text)
    except InvalidUri:
        return
    assert normalise(uri) == uri
    assert uri.isascii()
    assert not {".", ".."} & set(uri.replace("%2F", "/").split("/"))


@given(st.text())
def test_any_text_is_a_uri_or_refused(text: str) -> None:
    with contextlib.suppress(InvalidUri):
        normalise(text)
