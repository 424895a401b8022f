"""Scopes narrow the tokens of a login below what its user may, and never widen them."""

import jwt
import pytest
from django.contrib.auth.models import Group, User

from audit_app.database import in_database
from audit_app.writer import writer
from erlmcp_site.pipeline.messages import Credentials
from sessions_app.accounts import ChangeAccount
from sessions_app.authentication import authenticate
from sessions_app.callers import Caller
from sessions_app.errors import Unauthenticated
from sessions_app.keys import ring
from sessions_app.permissions import ALL
from sessions_app.scopes import kept_scope, narrowed, parse_scope, scope_text
from tests.pipeline.calls import ask, body, code, entries_of
from tests.sessions.conftest import PASSWORD, entry
from tests.sessions.test_tokens import claims_of
from tests.stack.waiting import eventually

READ, WRITE = "resources:read", "resources:write"


async def login(name: str, **more: str) -> dict[str, str]:
    pair: dict[str, str] = body(await ask("auth/login", {"username": name, "password": PASSWORD, **more}))
    return pair


async def caller_by(token: str) -> Caller:
    return await authenticate(Credentials(token=token))


def test_narrowing_takes_away_and_never_gives() -> None:
    for name in sorted(ALL):
        assert narrowed(frozenset({READ, WRITE}), frozenset({name})) == {READ, WRITE} & {name}
    assert narrowed(frozenset({READ}), None) == {READ}
    assert narrowed(ALL, frozenset()) == frozenset()


def test_a_scope_is_a_set_of_names() -> None:
    assert parse_scope(f" {WRITE}  {READ} {READ} ") == {READ, WRITE}
    assert scope_text(parse_scope(f"{WRITE} {READ}")) == f"{READ} {WRITE}"
    assert kept_scope("") is None
    for text in ("", " ", "x", f"{READ},{WRITE}", f"{READ}:resource://a/*"):
        with pytest.raises(ValueError, match="A scope is"):
            parse_scope(text)


async def test_a_login_with_a_scope_is_narrowed(running: dict[str, User]) -> None:
    pair = await login("alice", scope=f"{READ} audit:read")
    assert pair["scope"] == claims_of(pair["access"])["scope"] == f"audit:read {READ}"
    caller = await caller_by(pair["access"])
    assert caller.permissions == {READ}
    assert code(await ask("resources/write", {"uri": "resource://a/b", "content": 1}, pair["access"])) == "forbidden"
    assert code(await ask("resources/list", {}, pair["access"])) is None


async def test_a_login_without_a_scope_is_not_narrowed(running: dict[str, User]) -> None:
    pair = await login("alice")
    assert "scope" not in pair
    assert "scope" not in claims_of(pair["access"])
    assert (await caller_by(pair["access"])).may(WRITE)


async def test_refreshing_keeps_the_scope(running: dict[str, User]) -> None:
    pair = await login("alice", scope=READ)
    for _ in range(3):
        pair = body(await ask("auth/refresh", {"refresh": pair["refresh"], "scope": WRITE}))
        assert pair["scope"] == READ
        assert (await caller_by(pair["access"])).permissions == {READ}


@pytest.mark.parametrize("scope", ["", "everything", f"{READ} everything", "resources:*", 1, [READ]])
async def test_an_unknown_scope_is_no_login(running: dict[str, User], scope: object) -> None:
    reply = await ask("auth/login", {"username": "alice", "password": PASSWORD, "scope": scope})
    assert code(reply) == "invalid_params"


async def test_the_scope_of_a_login_is_on_record(running: dict[str, User]) -> None:
    (found,) = await entries_of(
        await ask("auth/login", {"username": "alice", "password": PASSWORD, "scope": READ}),
    )
    assert found["details"]["scope"] == READ


async def test_a_scope_that_is_no_text_is_refused_though_it_is_signed(running: dict[str, User]) -> None:
    pair = await login("alice")
    claims = claims_of(pair["access"])
    kid, key = await in_database(ring.signing)
    for scope in (None, 1, [READ], {READ: True}):
        token = jwt.encode(claims | {"scope": scope}, key, algorithm="RS256", headers={"kid": kid})
        with pytest.raises(Unauthenticated):
            await caller_by(token)
    empty = jwt.encode(claims | {"scope": ""}, key, algorithm="RS256", headers={"kid": kid})
    assert not (await caller_by(empty)).permissions


async def test_a_key_is_no_wider_than_the_token_that_it_is_made_with(running: dict[str, User]) -> None:
    token = (await login("alice", scope=f"{READ} resources:subscribe"))["access"]
    assert code(await ask("keys/create", {"scope": f"{READ} {WRITE}"}, token)) == "forbidden"
    assert body(await ask("keys/create", {}, token))["scope"] == f"{READ} resources:subscribe"
    assert body(await ask("keys/create", {"scope": READ}, token))["scope"] == READ


async def test_what_a_user_is_granted_later_stays_outside_of_the_scope(running: dict[str, User]) -> None:
    token = (await login("new", scope=READ))["access"]
    assert not (await caller_by(token)).permissions
    user, writers = running["new"], await in_database(Group.objects.get, name="user")
    grant = ChangeAccount(write=lambda: user.groups.add(writers), entry=entry(), users=[str(user.pk)])
    await writer.submit(grant)

    async def granted() -> bool:
        return (await caller_by(token)).permissions == {READ}

    await eventually(granted, 30, "the user may read, and no more")
