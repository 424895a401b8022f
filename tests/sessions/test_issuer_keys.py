"""The keys of an outside issuer: fetched when they are needed, seldom, and none that may not sign."""

import asyncio
import base64
import json

import pytest
from jwt.algorithms import RSAAlgorithm
from pytest_django import Settings

from audit_app.errors import Unavailable
from sessions_app.issuers.key_sets import MAX_BYTES, MAX_KEYS
from tests.pipeline.calls import ask, code
from tests.sessions.conftest import caller_by, is_refused
from tests.sessions.outside_issuer import OutsideIssuer, rsa_key


async def test_unknown_ids_buy_no_fetch_each(issuer: OutsideIssuer) -> None:
    assert not await is_refused(issuer.token())
    for number in range(20):
        assert await is_refused(issuer.token(headers={"kid": f"made up {number}"}))
    assert issuer.asked == ["/jwks.json"]


async def test_many_that_need_the_keys_at_once_wait_for_one_fetch(issuer: OutsideIssuer) -> None:
    found = await asyncio.gather(*(caller_by(issuer.token(jti=str(number))) for number in range(20)))
    assert {caller.name for caller in found} == {"alice"}
    assert issuer.asked == ["/jwks.json"]


async def test_a_new_key_of_the_issuer_is_fetched_when_the_last_fetch_is_some_time_ago(
    issuer: OutsideIssuer, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert not await is_refused(issuer.token())
    issuer.keys = {"two": rsa_key()}
    assert await is_refused(issuer.token("two"))
    monkeypatch.setattr("sessions_app.issuers.key_sets.REFETCH_SECONDS", 0.0)
    old = issuer.token("two", key=rsa_key(), headers={"kid": "one"})
    assert not await is_refused(issuer.token("two"))
    assert await is_refused(old), "its key was withdrawn"
    assert len(issuer.asked) == 3


async def test_keys_that_are_held_are_good_for_a_while_when_the_issuer_is_away(
    issuer: OutsideIssuer, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert not await is_refused(issuer.token())
    issuer.status = 500
    monkeypatch.setattr("sessions_app.issuers.key_sets.REFETCH_SECONDS", 0.0)
    monkeypatch.setattr("sessions_app.issuers.key_sets.FRESH_SECONDS", 0.0)
    assert not await is_refused(issuer.token(jti="another"))
    monkeypatch.setattr("sessions_app.issuers.key_sets.STALE_SECONDS", 0.0)
    with pytest.raises(Unavailable):
        await caller_by(issuer.token(jti="a third"))


@pytest.mark.parametrize(
    ("status", "body"),
    [
        *((500, b""), (404, b"{}"), (302, b""), (200, b""), (200, b"[]"), (200, b"{}"), (200, b'{"keys":7}')),
        (200, b'{"keys":[' + b" " * MAX_BYTES + b"]}"),
        (200, json.dumps({"keys": [{}] * (MAX_KEYS + 1)}).encode()),
    ],
    ids=lambda value: str(value)[:20],
)
async def test_an_issuer_that_answers_with_no_keys_is_unavailable(
    issuer: OutsideIssuer, status: int, body: bytes
) -> None:
    issuer.status, issuer.body = status, body
    reply = await ask("resources/list", {}, issuer.token())
    assert code(reply) == "unavailable"
    assert issuer.asked == ["/jwks.json"], "and no redirect is followed"


@pytest.mark.filterwarnings("ignore:The RSA key is 1024 bits")
async def test_keys_that_may_not_sign_are_left_out(issuer: OutsideIssuer) -> None:
    weak, wrong = rsa_key(1024), rsa_key()
    public = RSAAlgorithm.to_jwk(wrong.public_key(), as_dict=True)
    secret = base64.urlsafe_b64encode(b"0" * 32).decode().rstrip("=")
    issuer.extra = [
        {"kty": "oct", "k": secret, "kid": "secret", "alg": "HS256"},
        RSAAlgorithm.to_jwk(weak.public_key(), as_dict=True) | {"kid": "weak"},
        public | {"kid": "encrypts", "use": "enc"},
        public | {"kid": "other", "alg": "RS512"},
        public | {"kid": 7},
        public | {"kid": "x" * 300},
        {"kty": "RSA", "kid": "broken", "n": "!", "e": "AQAB"},
        "nothing",
    ]
    assert not await is_refused(issuer.token())
    for kid, key in (("weak", weak), ("encrypts", wrong), ("other", wrong), ("x" * 300, wrong), ("broken", wrong)):
        assert await is_refused(issuer.token(key=key, headers={"kid": kid})), kid
