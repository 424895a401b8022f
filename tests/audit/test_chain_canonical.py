"""A record's bytes are those of RFC 8785, whoever makes them."""

from datetime import UTC, datetime
from typing import Any

import orjson
import pytest
import rfc8785
from hypothesis import given
from hypothesis import strategies as st

from audit_app.chain.canonical import FIELDS, LARGEST, Fields, details_text, hash_of, record_bytes, record_hash
from audit_app.formatter import trail_fields
from audit_app.models import AuditEntry
from audit_app.queries import entry_json
from audit_app.trail import Entry, Queue, outbox_row

texts = st.text(st.characters(exclude_categories=["Cs"]))
moments = st.datetimes(datetime(1970, 1, 1), datetime(2100, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001  # see timezones
numbers = st.integers(-LARGEST, LARGEST) | st.floats(-1e15, 1e15)
values = st.recursive(
    st.none() | st.booleans() | numbers | texts, lambda inner: st.lists(inner) | st.dictionaries(texts, inner)
)
entries = st.tuples(
    texts,
    moments,
    st.sampled_from(list(Queue)).map(int),
    st.dictionaries(texts, values, max_size=3).map(details_text),
    *[texts] * (len(FIELDS) - 4),
)
hashes = st.text("0123456789abcdef", min_size=64, max_size=64)


@given(entries, st.integers(1, LARGEST), hashes)
def test_a_record_is_written_as_the_library_writes_what_callers_read(
    fields: Fields, sequence: int, prev_hash: str
) -> None:
    entry = AuditEntry(**dict(zip(FIELDS, fields, strict=True)), sequence=sequence, prev_hash=prev_hash)
    shown = orjson.loads(orjson.dumps(entry_json(entry), option=orjson.OPT_UTC_Z))
    del shown["hash"]
    assert record_bytes(fields, sequence, prev_hash) == rfc8785.dumps(shown)
    assert hash_of(fields, sequence, prev_hash) == record_hash(shown | {"hash": "whatever"})


@given(values)
def test_details_are_written_as_the_library_writes_them(value: Any) -> None:
    assert details_text(value).encode() == rfc8785.dumps(value)


@given(st.recursive(values | st.integers() | st.floats(allow_nan=False, allow_infinity=False), st.lists))
def test_canonical_details_stay_as_they_are_when_they_are_read_again(value: Any) -> None:
    text = details_text(value)
    assert details_text(orjson.loads(text)) == text
    assert rfc8785.dumps(orjson.loads(text)).decode() == text


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (2**53 - 1, "9007199254740991"),
        (2**53, '"9007199254740992"'),
        (-(2**63), '"-9223372036854775808"'),
        (1e20, '"100000000000000000000"'),
        (-1e21, "-1e+21"),
        (1.0, "1"),
        (-0.0, "0"),
        (True, "true"),
        ({"\U0001f600": 1, "\ufb33": 2}, '{"\U0001f600":1,"\ufb33":2}'),
    ],
)
def test_numbers_that_readers_do_not_agree_about_become_strings(value: Any, text: str) -> None:
    assert details_text([value]) == f"[{text}]"


def test_details_may_be_as_deep_as_the_outbox_can_hold() -> None:
    deep: Any = 0.5
    for _ in range(120):
        deep = {"ä": [deep]}
    row = outbox_row(Entry(timestamp=1.0, action="a", transport="rest"), None, {"deep": deep})
    assert row is not None
    queue, text = row
    assert '"ä":[' in trail_fields(queue, text)[3]
