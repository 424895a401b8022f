"""Tokens of an outside issuer, by its keys over HTTP: users come in with their groups, and nothing else does."""

import asyncio
import base64
import json
import time
from collections.abc import Iterator
from typing import Any

import jwt
import orjson
import pytest
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from django.contrib.auth.models import Group, User
from jwt.algorithms import RSAAlgorithm
from pytest_django import Settings

from audit_app.database import in_database
from audit_app.errors import Unavailable
from audit_app.models import OutboxEntry
from audit_app.writer import writer
from sessions_app.accounts import ChangeAccount
from sessions_app.families import RevokeFamily
from sessions_app.issuers.configuration import MAX_ISSUERS, BadIssuer, parse_issuers
from sessions_app.issuers.key_sets import MAX_BYTES, MAX_KEYS
from sessions_app.models import TokenFamily
from tests.pipeline.calls import ask, body, code, entries_of
from tests.sessions.conftest import caller_by, ends_with_its_time, entry, is_refused, pair_of
from tests.sessions.outside_issuer import OutsideIssuer, outside_issuer, rsa_key
from tests.stack.waiting import eventually

READ = {"resources:read", "resources:subscribe"}


@pytest.fixture(scope="module")
def server() -> Iterator[OutsideIssuer]:
    with outside_issuer() as issuer:
        yield issuer


@pytest.fixture
def issuer(server: OutsideIssuer, running: dict[str, User], settings: Settings) -> Iterator[OutsideIssuer]:
    """One that is trusted, and speaks for users that are there."""
    keys = dict(server.keys)
    server.asked.clear()
    trust(settings, server)
    yield server
    server.keys, server.extra, server.status, server.body = keys, [], 200, None


def trust(settings: Settings, issuer: OutsideIssuer, **more: Any) -> None:
    settings.TRUSTED_ISSUERS = parse_issuers(json.dumps([issuer.settings(**more)]))


async def groups_of(name: str) -> set[str]:
    rows = Group.objects.filter(user__username=name).values_list("name", flat=True)
    return set(await in_database(lambda: list(rows)))


async def admissions() -> list[dict[str, Any]]:
    texts = await in_database(lambda: list(OutboxEntry.objects.order_by("id").values_list("entry", flat=True)))
    return [found for found in map(orjson.loads, texts) if found["action"] == "auth/admit"]


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


async def test_clocks_may_differ_by_a_few_seconds(issuer: OutsideIssuer) -> None:
    soon = int(time.time()) + 3
    assert not await is_refused(issuer.token(iat=soon, nbf=soon))


async def test_a_token_that_was_good_ends_with_its_time(issuer: OutsideIssuer) -> None:
    await caller_by(issuer.token("ec"))
    await ends_with_its_time(issuer.token(exp=int(time.time()) + 4))


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


async def test_users_are_made_through_the_writer_when_the_issuer_may(issuer: OutsideIssuer, settings: Settings) -> None:
    assert await is_refused(issuer.token(sub="dora"))
    trust(settings, issuer, create_users=True, prefix="corp-", groups_claim="roles", groups={"staff": "viewer"})
    caller = await caller_by(issuer.token(sub="dora", roles=["staff", "others"]))
    assert caller.name == "corp-dora"
    assert caller.permissions == READ
    user = await in_database(User.objects.get, username="corp-dora")
    assert not user.has_usable_password()
    assert not user.is_staff
    assert not user.is_superuser
    found = (await admissions())[-1]
    assert found["details"] == {"issuer": issuer.name, "added": True, "joined": ["viewer"]}
    assert (found["user"], found["transport"]) == ("corp-dora", "system")
    assert await is_refused(issuer.token(sub="alice", prefix="")) is False, "which is corp-alice"
    assert await in_database(User.objects.filter(username="corp-alice").exists)


@pytest.mark.parametrize("name", ["a b", "a\0b", "x" * 151, "ａlice", "é" * 151, "a/b", "../a"])
async def test_a_name_that_is_none_here_makes_no_user(issuer: OutsideIssuer, settings: Settings, name: str) -> None:
    trust(settings, issuer, create_users=True)
    before = await in_database(User.objects.count)
    assert await is_refused(issuer.token(sub=name))
    assert await in_database(User.objects.count) == before


async def test_of_many_first_tokens_at_once_one_makes_the_user(issuer: OutsideIssuer, settings: Settings) -> None:
    trust(settings, issuer, create_users=True)
    found = await asyncio.gather(*(caller_by(issuer.token(sub="dora", jti=str(n))) for n in range(8)))
    assert len({caller.user_id for caller in found}) == 1
    assert sum(one["details"]["added"] for one in await admissions()) == 1


async def test_groups_follow_the_latest_token_and_others_stay(issuer: OutsideIssuer, settings: Settings) -> None:
    trust(settings, issuer, groups_claim="roles", groups={"editors": "user", "readers": "viewer", "none": "nowhere"})
    await in_database(lambda: User.objects.get(username="new").groups.add(Group.objects.get(name="admin")))
    at = int(time.time())
    first, second = issuer.token(sub="new", roles=["editors"], iat=at - 20), issuer.token(sub="new", iat=at - 10)
    older = issuer.token(sub="new", roles=["editors", "none"], iat=at - 15)
    await caller_by(first)
    assert await groups_of("new") == {"admin", "user"}
    await caller_by(second)
    assert await groups_of("new") == {"admin"}
    await caller_by(older)
    assert await groups_of("new") == {"admin"}
    assert [one["details"].get("joined") for one in await admissions()] == [["user"], None]


async def test_what_a_token_says_of_groups_reaches_tokens_that_were_verified_before(
    issuer: OutsideIssuer, settings: Settings
) -> None:
    trust(settings, issuer, groups_claim="roles", groups={"editors": "user"})
    at = int(time.time())
    first = issuer.token(sub="new", roles=["editors"], iat=at - 20)
    assert (await caller_by(first)).may("resources:write")
    await caller_by(issuer.token(sub="new", roles=[], iat=at - 10))

    async def may_no_more() -> bool:
        return not (await caller_by(first)).may("resources:write")

    await eventually(may_no_more, 5, "the older token allows no more than the groups")


@pytest.mark.parametrize("roles", ["editors", {"editors": 1}, 7])
async def test_groups_that_are_no_list_are_refused(issuer: OutsideIssuer, settings: Settings, roles: object) -> None:
    trust(settings, issuer, groups_claim="roles", groups={"editors": "user"})
    assert await is_refused(issuer.token(roles=roles))


async def test_scopes_of_an_issuer_narrow_when_the_settings_say_so(issuer: OutsideIssuer, settings: Settings) -> None:
    assert (await caller_by(issuer.token(scope="openid"))).may("resources:write")
    trust(settings, issuer, scopes=True)
    assert (await caller_by(issuer.token(jti="1", scope="openid resources:read"))).permissions == {"resources:read"}
    assert not (await caller_by(issuer.token(jti="2"))).permissions
    assert await is_refused(issuer.token(jti="3", scope=["resources:read"]))


async def test_who_is_not_let_in_leaves_no_more_than_the_entry_of_what_was_asked(issuer: OutsideIssuer) -> None:
    for token in (issuer.token(sub="nobody"), issuer.token(sub="root")):
        reply = await ask("resources/list", {}, token)
        assert code(reply) == "unauthenticated"
        assert [one["action"] for one in await entries_of(reply)] == ["resources/list"]
    assert not await admissions()


async def test_a_token_that_may_do_nothing_makes_no_key(issuer: OutsideIssuer, settings: Settings) -> None:
    trust(settings, issuer, scopes=True)
    for params in ({}, {"scope": "resources:read"}):
        assert code(await ask("keys/create", params, issuer.token())) == "forbidden"
    made = body(await ask("keys/create", {}, issuer.token(jti="1", scope="openid resources:read")))
    assert (await caller_by(made["key"])).permissions == {"resources:read"}


async def test_a_token_is_not_of_whoever_had_its_name_before(
    issuer: OutsideIssuer, settings: Settings, running: dict[str, User]
) -> None:
    token, user = issuer.token(), running["alice"]
    assert (await caller_by(token)).user_id == str(user.pk)
    user.username = "carol"
    await writer.submit(ChangeAccount(write=user.save, entry=entry(), users=[str(user.pk)]))
    await eventually(lambda: is_refused(token), 5, "the token is refused")
    trust(settings, issuer, create_users=True)
    newcomer = await caller_by(token)
    assert newcomer.name == "alice"
    assert newcomer.user_id != str(user.pk)


async def test_a_revoked_login_of_an_issuer_refuses_the_tokens_of_before(issuer: OutsideIssuer) -> None:
    at = int(time.time())
    first, other = issuer.token(iat=at - 20), issuer.token(iat=at - 10, jti="other")
    family = (await caller_by(first)).family
    await writer.submit(RevokeFamily(family=family, why="test", entry=entry()))

    async def ended() -> bool:
        return await is_refused(first)

    await eventually(ended, 5, "the token is refused")
    assert await is_refused(other)
    revoked_at = (await in_database(TokenFamily.objects.get, id=family)).revoked_at
    assert revoked_at is not None
    later = issuer.token(iat=int(revoked_at.timestamp()) + 1, nbf=at)
    assert (await caller_by(later)).family == family
    assert not await is_refused(later)


async def test_a_user_who_is_deactivated_is_refused(issuer: OutsideIssuer, running: dict[str, User]) -> None:
    token, user = issuer.token(), running["alice"]
    assert not await is_refused(token)
    user.is_active = False
    await writer.submit(ChangeAccount(write=user.save, entry=entry(), users=[str(user.pk)]))

    async def ended() -> bool:
        return await is_refused(token)

    await eventually(ended, 5, "the token is refused")
    assert await is_refused(issuer.token(jti="another"))


GOOD = {"issuer": "https://i.example", "jwks_url": "https://i.example/jwks", "audience": "a", "algorithms": ["RS256"]}


def test_issuers_are_read_from_json() -> None:
    assert parse_issuers("") == {}
    assert parse_issuers("[]") == {}
    (issuer,) = parse_issuers(json.dumps([GOOD])).values()
    assert (issuer.algorithms, issuer.types, issuer.user_claim) == (("RS256",), ("at+jwt",), "sub")
    assert (issuer.create_users, issuer.scopes) == (False, False)


WRONG: list[dict[str, Any]] = [
    *({"algorithms": ["HS256"]}, {"algorithms": ["none"]}, {"algorithms": []}, {"algorithms": "RS256"}),
    *({"jwks_url": "http://i.example/jwks"}, {"jwks_url": "file:///etc/passwd"}, {"jwks_url": "https://"}),
    *({"jwks_url": "https://u:p@i.example/"}, {"jwks_url": "https://[::1/"}, {"audience": ""}),
    *({"issuer": 7}, {"create_users": "yes"}, {"groups": {"a": "b"}}, {"unknown": 1}, {"prefix": "a:"}),
    *({"groups": ["a"], "groups_claim": "g"}, {"types": []}, {"user_claim": ""}),
]


@pytest.mark.parametrize(
    "text",
    [
        *("{", "{}", "7", "[7]", "[{}]", json.dumps([GOOD, GOOD]), "[" * 5000),
        json.dumps([GOOD | {"issuer": f"https://{n}.example"} for n in range(MAX_ISSUERS + 1)]),
        *(json.dumps([GOOD | change]) for change in WRONG),
    ],
)
def test_an_issuer_that_is_wrong_is_named(text: str) -> None:
    with pytest.raises(BadIssuer):
        parse_issuers(text)
