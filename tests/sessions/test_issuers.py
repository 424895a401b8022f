"""Tokens of an outside issuer, by its keys over HTTP: its users come in, and nothing else does."""

import base64
import json
import math
import time
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from django.contrib.auth.models import User
from jwt.algorithms import RSAAlgorithm

from audit_app.database import in_database
from tests.pipeline.calls import ask, code, entries_of
from tests.sessions.conftest import caller_by, ends_with_its_time, is_refused, pair_of
from tests.sessions.outside_issuer import AUDIENCE, OutsideIssuer, rsa_key


async def test_a_token_of_the_issuer_is_its_user(issuer: OutsideIssuer, running: dict[str, User]) -> None:
    for kid in ("one", "ec"):
        caller = await caller_by(issuer.token(kid))
        assert (caller.name, caller.user_id) == ("alice", str(running["alice"].pk))
        assert caller.may("resources:write")
    assert issuer.asked == ["/jwks.json"]


async def test_all_tokens_of_a_user_have_one_session(issuer: OutsideIssuer) -> None:
    replies = [await ask("resources/list", {}, issuer.token(kid, jti=kid)) for kid in ("one", "ec")]
    assert [code(reply) for reply in replies] == [None, None]
    assert len({reply.session_id for reply in replies}) == 1
    other = await ask("resources/list", {}, issuer.token(sub="bob"))
    assert other.session_id != replies[0].session_id


async def test_tokens_of_our_own_are_as_good_as_before(issuer: OutsideIssuer) -> None:
    assert (await caller_by((await pair_of("alice")).access)).name == "alice"
    assert issuer.asked == []


def hmac_signed(issuer: OutsideIssuer) -> str:
    """Signed with the public key as an HMAC secret."""
    public = issuer.keys["one"].public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    parts = issuer.token().split(".")
    header = base64.urlsafe_b64encode(json.dumps({"alg": "HS256", "typ": "at+jwt", "kid": "one"}).encode())
    head = f"{header.decode().rstrip('=')}.{parts[1]}"
    signature = jwt.algorithms.HMACAlgorithm(jwt.algorithms.HMACAlgorithm.SHA256).sign(head.encode(), public)
    return f"{head}.{base64.urlsafe_b64encode(signature).decode().rstrip('=')}"


def unsigned(issuer: OutsideIssuer) -> str:
    header = base64.urlsafe_b64encode(json.dumps({"alg": "none", "typ": "at+jwt", "kid": "one"}).encode())
    return f"{header.decode().rstrip('=')}.{issuer.token().split('.')[1]}."


def with_jwk(issuer: OutsideIssuer, **headers: Any) -> str:
    """By a key of its own, which the header shows or points to."""
    key = rsa_key()
    shown = {name: value or RSAAlgorithm.to_jwk(key.public_key(), as_dict=True) for name, value in headers.items()}
    return issuer.token(key=key, headers=shown)


BAD: dict[str, Any] = {
    "none": unsigned,
    "the public key as a secret": hmac_signed,
    "another algorithm": lambda i: jwt.encode(
        i.claims(), i.keys["one"], algorithm="RS512", headers={"kid": "one", "typ": "at+jwt"}
    ),
    "an algorithm for a key of another kind": lambda i: jwt.encode(
        i.claims(), i.keys["ec"], algorithm="ES256", headers={"kid": "one", "typ": "at+jwt"}
    ),
    "a foreign key under a known id": lambda i: i.token(key=rsa_key()),
    "a foreign id": lambda i: i.token(headers={"kid": "foreign"}),
    "no id": lambda i: i.token(headers={"kid": ""}),
    "jku": lambda i: with_jwk(i, jku=f"{i.name}/evil.json"),
    "x5u": lambda i: with_jwk(i, x5u=f"{i.name}/evil.pem"),
    "jwk": lambda i: with_jwk(i, jwk=None),
    "crit": lambda i: i.token(headers={"crit": ["b64"], "b64": False}),
    "another issuer": lambda i: i.token(iss="https://elsewhere.example"),
    "ours": lambda i: i.token(iss="erlmcp"),
    "no issuer": lambda i: i.token(iss=None),
    "another audience": lambda i: i.token(aud="somebody"),
    "no audience": lambda i: i.token(aud=None),
    "an ID token": lambda i: i.token(headers={"typ": "JWT"}),
    "a logout token": lambda i: i.token(headers={"typ": "logout+jwt"}),
    "not yet": lambda i: i.token(nbf=int(time.time()) + 60),
    "made in the future": lambda i: i.token(iat=int(time.time()) + 60),
    "expired": lambda i: i.token(iat=int(time.time()) - 60, exp=int(time.time()) - 1),
    "no end": lambda i: i.token(exp=None),
    "an end that is none": lambda i: i.token(exp=10**18),
    "no beginning": lambda i: i.token(iat=None),
    "a beginning before time": lambda i: i.token(iat=-1),
    "no user": lambda i: i.token(sub=None),
    "an empty user": lambda i: i.token(sub=""),
    "an unknown user": lambda i: i.token(sub="stranger"),
    "a superuser": lambda i: i.token(sub="root"),
    "too long": lambda i: i.token(filler="x" * 9000),
}


@pytest.mark.parametrize("what", BAD)
async def test_nothing_else_comes_in(issuer: OutsideIssuer, what: str) -> None:
    assert not await is_refused(issuer.token("ec", sub="bob"))
    reply = await ask("resources/list", {}, BAD[what](issuer))
    assert code(reply) == "unauthenticated"
    (found,) = await entries_of(reply)
    assert (found["code"], found["user"]) == ("unauthenticated", "")
    assert set(issuer.asked) == {"/jwks.json"}
    assert not await in_database(User.objects.filter(username="stranger").exists)


async def test_a_token_may_be_for_others_too(issuer: OutsideIssuer) -> None:
    assert not await is_refused(issuer.token(aud=["somebody", AUDIENCE]))


async def test_clocks_may_differ_by_a_few_seconds(issuer: OutsideIssuer) -> None:
    soon = int(time.time()) + 3
    assert not await is_refused(issuer.token(iat=soon, nbf=soon))


async def test_a_token_that_was_good_ends_with_its_time(issuer: OutsideIssuer) -> None:
    await caller_by(issuer.token("ec"))

    async def token_for(seconds: int) -> str:
        return issuer.token(exp=math.ceil(time.time()) + seconds)

    await ends_with_its_time(token_for)
