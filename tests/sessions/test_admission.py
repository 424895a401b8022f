"""Users of an outside issuer: made, put into groups and let in by what their tokens say, and refused again."""

import asyncio
import time
from typing import Any

import pytest
from django.contrib.auth.models import Group, User
from pytest_django import Settings

from audit_app.database import in_database
from audit_app.writer import writer
from sessions_app.accounts import ChangeAccount
from sessions_app.families import RevokeFamily
from sessions_app.models import TokenFamily
from tests.pipeline.calls import ask, body, code, entries_of
from tests.sessions.conftest import caller_by, entry, is_refused
from tests.sessions.outside_issuer import OutsideIssuer, trust
from tests.stack.outbox import entries
from tests.stack.waiting import eventually

READ = {"resources:read", "resources:subscribe"}


async def groups_of(name: str) -> set[str]:
    rows = Group.objects.filter(user__username=name).values_list("name", flat=True)
    return set(await in_database(lambda: list(rows)))


async def admissions() -> list[dict[str, Any]]:
    return await in_database(entries, "auth/admit")


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

    await eventually(may_no_more, 30, "the older token allows no more than the groups")


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
    await eventually(lambda: is_refused(token), 30, "the token is refused")
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

    await eventually(ended, 30, "the token is refused")
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

    await eventually(ended, 30, "the token is refused")
    assert await is_refused(issuer.token(jti="another"))
