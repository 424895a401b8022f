"""Envelopes open where they were made, and nowhere else."""

import pytest
from hypothesis import given
from hypothesis import strategies as some

from encryption_app.envelope import (
    BODY_AT,
    KEY_BYTES,
    OVERHEAD_BYTES,
    DataKey,
    Place,
    Purpose,
    Tampered,
    is_sealed,
    key_of,
)

KEY = DataKey("00112233445566778899aabbccddeeff", bytes(range(KEY_BYTES)))

places = some.builds(
    Place,
    purpose=some.sampled_from(Purpose),
    subject=some.text(max_size=40),
    version=some.integers(0, 2**63 - 1),
)
contents = some.binary(max_size=300)


@given(contents, places)
def test_an_envelope_opens_where_it_was_made(content: bytes, place: Place) -> None:
    envelope = KEY.seal(content, place)
    assert KEY.open(envelope, place) == content
    assert (is_sealed(envelope), key_of(envelope)) == (True, KEY.id)
    assert len(envelope) == len(content) + OVERHEAD_BYTES


@given(contents, places, places)
def test_it_opens_at_no_other_place(content: bytes, place: Place, other: Place) -> None:
    envelope = KEY.seal(content, place)
    if other != place:
        with pytest.raises(Tampered):
            KEY.open(envelope, other)


@given(some.data(), contents, places)
def test_one_flipped_bit_is_noticed(data: some.DataObject, content: bytes, place: Place) -> None:
    envelope = bytearray(KEY.seal(content, place))
    bit = data.draw(some.integers(0, len(envelope) * 8 - 1))
    envelope[bit // 8] ^= 1 << bit % 8
    with pytest.raises(Tampered):
        KEY.open(bytes(envelope), place)


@given(some.data(), contents, places)
def test_a_cut_envelope_is_noticed(data: some.DataObject, content: bytes, place: Place) -> None:
    envelope = KEY.seal(content, place)
    short = envelope[: data.draw(some.integers(0, len(envelope) - 1))]
    with pytest.raises(Tampered):
        KEY.open(short, place)


def test_subjects_and_purposes_do_not_run_into_each_other() -> None:
    envelope = KEY.seal(b"x", Place(Purpose.CONTENT, "1\0a", 0))
    for other in (Place(Purpose.CONTENT, "a", 1), Place(Purpose.CONTENT, "\0a", 1), Place(Purpose.CONTENT, "a", 10)):
        with pytest.raises(Tampered):
            KEY.open(envelope, other)


def test_the_same_content_never_makes_the_same_envelope() -> None:
    place = Place(Purpose.CONTENT, "a", 1)
    envelopes = {KEY.seal(b"the same", place) for _ in range(1000)}
    assert len({envelope[:BODY_AT] for envelope in envelopes}) == 1000
    assert len({envelope[BODY_AT:] for envelope in envelopes}) == 1000


def test_a_key_does_not_open_what_another_one_sealed() -> None:
    place = Place(Purpose.CONTENT, "a", 1)
    others = DataKey("ff112233445566778899aabbccddeeff", bytes(range(KEY_BYTES))), DataKey(KEY.id, bytes(KEY_BYTES))
    for other in others:
        with pytest.raises(Tampered):
            other.open(KEY.seal(b"x", place), place)


@given(some.one_of(some.text().map(str.encode), some.just(b"")))
def test_no_text_is_taken_for_an_envelope(text: bytes) -> None:
    assert (is_sealed(text), key_of(text)) == (False, "")


@pytest.mark.parametrize("kept", [b"\xff", b"\xff\x01" + bytes(43), b"\xff\x02" + bytes(60)])
def test_a_damaged_header_is_noticed(kept: bytes) -> None:
    with pytest.raises(Tampered):
        key_of(kept)
