"""What is accepted as a token, and above all what is not (quality 22)."""

import base64
import time
from typing import Any

import jwt
import orjson
import pytest
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey, generate_private_key
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from django.contrib.auth.models import User
from pytest_django import Settings

from audit_app.database import in_database
from erlmcp_site.pipeline.messages import Credentials
from sessions_app.authentication import authenticate
from sessions_app.errors import Unauthenticated
from sessions_app.keys import jwks, ring
from sessions_app.tokens import AccessToken, RefreshToken
from tests.sessions.conftest import caller_of, ends_with_its_time, is_refused, pair_of

FIRST_QUARTER = "ABCDEFGHIJKLMNOP"
"""The characters of base64 whose first two bits are zero."""

OTHER_KEY = generate_private_key(public_exponent=65537, key_size=2048)


def part(value: Any) -> str:
    return base64.urlsafe_b64encode(orjson.dumps(value)).decode().rstrip("=")


def claims_of(token: str) -> dict[str, Any]:
    claims: dict[str, Any] = jwt.decode(token, options={"verify_signature": False})
    return claims


@pytest.fixture
async def access(running: dict[str, User]) -> str:
    return (await pair_of("alice")).access


async def test_a_token_of_ours_is_accepted(access: str) -> None:
    caller = await authenticate(Credentials(token=access))
    assert caller.name == "alice"
    assert caller.expires_at == claims_of(access)["exp"]
    assert jwt.get_unverified_header(access).keys() == {"alg", "kid", "typ"}


async def test_without_a_token_nobody_is_known(running: dict[str, User]) -> None:
    for credentials in (None, Credentials()):
        with pytest.raises(Unauthenticated):
            await authenticate(credentials)


async def test_alg_none_is_refused(access: str) -> None:
    header = jwt.get_unverified_header(access)
    body = access.split(".")[1]
    for alg in ("none", "None", "NONE", ""):
        assert await is_refused(f"{part(header | {'alg': alg})}.{body}.")
        assert await is_refused(f"{part(header | {'alg': alg})}.{access.split('.', 1)[1]}")


async def test_the_public_key_is_no_hmac_secret(access: str) -> None:
    kid = jwt.get_unverified_header(access)["kid"]
    public = ring.public(kid)
    assert isinstance(public, RSAPublicKey)
    for secret in (
        public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo),
        public.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo),
        orjson.dumps((await in_database(jwks))["keys"][0]),
    ):
        head = f"{part({'alg': 'HS256', 'typ': 'JWT', 'kid': kid})}.{access.split('.')[1]}"
        signature = jwt.algorithms.HMACAlgorithm(jwt.algorithms.HMACAlgorithm.SHA256).sign(head.encode(), secret)
        assert await is_refused(f"{head}.{base64.urlsafe_b64encode(signature).decode().rstrip('=')}")


@pytest.mark.parametrize("algorithm", ["RS384", "RS512", "PS256"])
async def test_only_our_algorithm_is_accepted(access: str, algorithm: str) -> None:
    kid, key = await in_database(ring.signing)
    assert await is_refused(jwt.encode(claims_of(access), key, algorithm=algorithm, headers={"kid": kid}))


async def test_a_foreign_key_is_refused_under_any_id(access: str) -> None:
    ours = jwt.get_unverified_header(access)["kid"]
    for headers in ({"kid": ours}, {"kid": "foreign"}, {"kid": "../../etc/passwd"}, {}, {"kid": ""}):
        token = jwt.encode(claims_of(access), OTHER_KEY, algorithm="RS256", headers=headers)
        assert await is_refused(token)


async def test_where_a_token_says_its_key_is_does_not_matter(access: str) -> None:
    jwk = jwt.algorithms.RSAAlgorithm.to_jwk(OTHER_KEY.public_key(), as_dict=True)
    ours = jwt.get_unverified_header(access)["kid"]
    for pointer in (
        {"jku": "http://127.0.0.1:9/jwks.json"},
        {"x5u": "http://127.0.0.1:9/cert.pem"},
        {"jwk": jwk},
        {"crit": ["b64"], "b64": False},
    ):
        for kid in (ours, "foreign"):
            token = jwt.encode(claims_of(access), OTHER_KEY, algorithm="RS256", headers={"kid": kid, **pointer})
            assert await is_refused(token)


@pytest.mark.parametrize(
    "change",
    [
        {"iss": "somebody"},
        {"aud": "somebody"},
        {"aud": ["erlmcp", "somebody"]},
        {"token_type": "refresh"},
        {"token_type": "sliding"},
        {"exp": 1},
        {"exp": "soon"},
        {"nbf": 2**33},
        {"iat": 2**33},
        {"sub": "999999"},
        {"sub": ""},
        {"fam": "another"},
        {"fam": ""},
    ],
    ids=str,
)
async def test_every_claim_is_checked(access: str, change: dict[str, Any]) -> None:
    kid, key = await in_database(ring.signing)
    right = jwt.encode(claims_of(access), key, algorithm="RS256", headers={"kid": kid})
    assert not await is_refused(right)
    assert await is_refused(jwt.encode(claims_of(access) | change, key, algorithm="RS256", headers={"kid": kid}))


async def test_clocks_may_differ_at_the_beginning_of_a_token_and_not_at_its_end(access: str) -> None:
    kid, key = await in_database(ring.signing)

    def signed(**change: float) -> str:
        return jwt.encode(claims_of(access) | change, key, algorithm="RS256", headers={"kid": kid})

    at = time.time()
    assert not await is_refused(signed(iat=at + 3, nbf=at + 3))
    assert await is_refused(signed(exp=time.time() - 0.5))
    assert await is_refused(signed(exp=int(time.time()) - 1))


@pytest.mark.parametrize("name", ["iss", "aud", "exp", "nbf", "iat", "sub", "jti", "fam", "token_type"])
async def test_every_claim_is_needed(access: str, name: str) -> None:
    kid, key = await in_database(ring.signing)
    claims = claims_of(access)
    del claims[name]
    assert await is_refused(jwt.encode(claims, key, algorithm="RS256", headers={"kid": kid}))


@pytest.mark.parametrize(
    "text",
    [
        *("", ".", "..", "a.b.c", "\x00", "é.é.é", "\ud800", "x" * 100_000),
        part({"alg": "RS256", "kid": {"a": 1}}) + ".e30.e30",
        part({"alg": "RS256", "kid": None}) + ".e30.e30",
        part([]) + ".e30.e30",
        base64.urlsafe_b64encode(b"[" * 2900).decode() + ".e30.e30",
        base64.urlsafe_b64encode(b'{"alg":"RS256","kid":' + b"9" * 2000 + b"}").decode() + ".e30.e30",
    ],
    ids=lambda text: ascii(text[:20]),
)
async def test_garbage_is_refused(running: dict[str, User], text: str) -> None:
    assert await is_refused(text)


async def test_a_changed_token_is_refused(access: str) -> None:
    for at in (*range(0, len(access), 7), len(access) - 1):
        # of the last character only the first bits count: those of "A" and "g" differ
        other = "g" if access[at] in FIRST_QUARTER else "A"
        assert await is_refused(access[:at] + other + access[at + 1 :]), at


async def test_an_expired_token_is_refused_though_it_was_verified_before(
    running: dict[str, User], settings: Settings
) -> None:
    async def token_for(seconds: int) -> str:
        settings.ACCESS_TOKEN_SECONDS = seconds
        return (await pair_of("alice")).access

    await ends_with_its_time(token_for)


async def test_a_token_is_good_for_at_least_as_long_as_is_said(running: dict[str, User], settings: Settings) -> None:
    settings.ACCESS_TOKEN_SECONDS, settings.REFRESH_TOKEN_SECONDS = 1, 2
    before = time.time()
    pair = await pair_of("alice")
    assert claims_of(pair.access)["exp"] >= before + pair.expires_in
    assert claims_of(pair.refresh)["exp"] >= before + 2


async def test_a_user_who_is_gone_or_not_active_is_refused(running: dict[str, User]) -> None:
    user = running["alice"]
    family = claims_of((await pair_of("alice")).access)["fam"]
    await in_database(User.objects.filter(pk=user.pk).update, is_active=False)
    assert await is_refused(await in_database(AccessToken.issue, str(user.pk), family, "one"))
    await in_database(User.objects.filter(pk=user.pk).delete)
    assert await is_refused(await in_database(AccessToken.issue, str(user.pk), family, "two"))


async def test_a_refresh_token_is_no_access_token(running: dict[str, User]) -> None:
    pair = await pair_of("alice")
    assert await is_refused(pair.refresh)
    with pytest.raises(Unauthenticated):
        RefreshToken.read(pair.access)


async def test_permissions_come_from_groups(running: dict[str, User]) -> None:
    reads = {"resources:read", "resources:subscribe"}
    assert (await caller_of("bob")).permissions == reads
    assert (await caller_of("alice")).permissions == reads | {"resources:write", "resources:delete"}
    assert not (await caller_of("new")).permissions
    assert (await caller_of("root")).may("audit:read")


async def test_a_user_of_the_admin_is_a_caller_without_a_family(running: dict[str, User]) -> None:
    caller = await authenticate(Credentials(user=running["root"]))
    assert (caller.name, caller.family) == ("root", "")
    assert caller.may("sessions:admin")
