"""JSON from outside is read once, and what could not be kept or answered is refused."""

import gc
from typing import Any

import pytest

from audit_app.errors import InvalidParams, Refusal, TooDeep
from erlmcp_site.pipeline.errors import ParseError
from erlmcp_site.transports.documents import LARGE_BYTES, parse


@pytest.mark.parametrize(
    ("text", "refusal"),
    [
        (b'{"a":NaN}', ParseError),
        (b"[Infinity]", ParseError),
        (b"[1e999]", InvalidParams),
        (b"[18446744073709551616]", InvalidParams),
        (b"[-9223372036854775809]", InvalidParams),
        (b"[" + b"9" * 5000 + b"]", InvalidParams),
        (b'"\\ud800"', ParseError),
        (b'{"\\udc00":1}', ParseError),
        (b'"\xed\xa0\x80"', ParseError),
        (b'"\xff"', ParseError),
        (b'"a\nb"', ParseError),
        (b'{"a":1,}', ParseError),
        (b"\xef\xbb\xbf{}", ParseError),
        (b"", ParseError),
        (b"[" * 69 + b"]" * 69, TooDeep),
        (b"[" * 1000 + b"]" * 1000, TooDeep),
        (b"[" * 2**20, TooDeep),
        (b'{"a":' * 2**18, TooDeep),
    ],
)
def test_what_could_not_be_kept_or_answered_is_refused(text: bytes, refusal: type[Refusal]) -> None:
    with pytest.raises(refusal):
        parse(text, 4)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        (b'{"a":1,"a":2}', {"a": 2}),
        (b'{"a":{"b":1},"\\u0061":{"c":1}}', {"a": {"c": 1}}),
        (b"[18446744073709551615,-9223372036854775808]", [2**64 - 1, -(2**63)]),
        ('["\u00e9","e\u0301"]'.encode(), ["\u00e9", "e\u0301"]),
        (b'"\\u0000"', "\0"),
        (b"-0.0", 0.0),
    ],
)
def test_of_what_others_may_read_in_two_ways_we_read_one(text: bytes, value: Any) -> None:
    """Of two members of one name the last counts (RFC 8259 §4); text is kept in the normal form that it came in."""
    assert parse(text, 4) == value


def test_the_collector_works_again_after_a_large_document_good_or_bad() -> None:
    large = b"[" + b"[]," * LARGE_BYTES
    assert len(parse(large + b"1]", 4)) == LARGE_BYTES + 1
    with pytest.raises(ParseError):
        parse(large, 4)
    assert gc.isenabled()
