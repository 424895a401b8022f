"""Codes of a second factor, as RFC 6238 says, and recovery codes."""

import random
from urllib.parse import parse_qs, unquote, urlsplit

import pytest

from sessions_app.factors.codes import (
    STEP_SECONDS,
    address_of,
    code_at,
    digest_of,
    new_recovery_codes,
    new_secret,
    step_of,
)

RFC_SECRET = "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ"
"""The one of appendix B of RFC 6238, 12345678901234567890, in base32."""

RFC_CODES = {59: "287082", 1111111109: "081804", 1234567890: "005924", 2000000000: "279037"}
"""The last six of the eight digits there."""


@pytest.mark.parametrize("at", RFC_CODES)
def test_codes_are_those_of_the_rfc(at: int) -> None:
    assert code_at(RFC_SECRET, at) == RFC_CODES[at]
    assert step_of(RFC_SECRET, RFC_CODES[at], at) == at // STEP_SECONDS


def test_a_code_is_good_in_its_step_and_those_beside_it() -> None:
    # of a random secret, now and then two steps have the same code
    secret, at = RFC_SECRET, 1_800_000_000
    found = {step: step_of(secret, code_at(secret, at + step * STEP_SECONDS), at) for step in range(-3, 4)}
    present = at // STEP_SECONDS
    assert found == {-3: None, -2: None, -1: present - 1, 0: present, 1: present + 1, 2: None, 3: None}


def test_blanks_in_a_code_make_no_difference() -> None:
    code = code_at(RFC_SECRET, 90)
    assert step_of(RFC_SECRET, f" {code[:3]} {code[3:]} ", 90) == 3


@pytest.mark.parametrize("code", ["", "0", "12345", "1234567", "abcdef", "½½½", "\0" * 6, "\udcff", "1" * 64])
def test_garbage_is_no_code(code: str) -> None:
    assert step_of(RFC_SECRET, code, 59) is None
    assert digest_of(code)


def test_secrets_and_recovery_codes_are_long_and_never_the_same() -> None:
    assert len({new_secret() for _ in range(100)}) == 100
    assert len(new_secret()) * 5 == 160
    codes = [code for _ in range(10) for code in new_recovery_codes()]
    assert len({digest_of(code) for code in codes}) == 100
    assert all(len(code.replace("-", "")) * 5 == 120 for code in codes)


def test_how_a_recovery_code_is_typed_makes_no_difference(dice: random.Random) -> None:
    code = dice.choice(new_recovery_codes())
    for typed in (code.upper(), code.replace("-", ""), code.replace("-", " "), f"  {code} "):
        assert digest_of(typed) == digest_of(code)
    assert digest_of(code[:-1]) != digest_of(code)


def test_an_authenticator_is_told_what_it_has_to_know() -> None:
    address = urlsplit(address_of(RFC_SECRET, "root@hub.example.com", "erlmcp"))
    assert (address.scheme, address.netloc, unquote(address.path)) == (
        "otpauth",
        "totp",
        "/erlmcp:root@hub.example.com",
    )
    assert parse_qs(address.query) == {"secret": [RFC_SECRET], "issuer": ["erlmcp"]}
