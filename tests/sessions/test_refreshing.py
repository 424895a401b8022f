"""Logging in, refreshing and revoking through the real writer (contract §2, §7; quality 22)."""

import asyncio
import json
import threading
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.contrib.auth.hashers import MD5PasswordHasher
from django.contrib.auth.models import User
from django.db import connection
from pytest_django import Settings

from audit_app.database import in_database
from audit_app.errors import Unavailable
from audit_app.trail import Entry
from erlmcp_site.pipeline.messages import Credentials
from resources_app.models import ControlEvent
from sessions_app.actions.tokens import TokenPair, log_in, refresh, revoke
from sessions_app.authentication import authenticate
from sessions_app.errors import RefreshReused, Unauthenticated, WrongLogin
from sessions_app.families import MAX_SPENT, Family, RefreshStolen, RotateFamily, rotate
from sessions_app.models import TokenFamily
from sessions_app.passwords import MAX_CHECKS
from tests.sessions.conftest import PASSWORD, entry, pair_of
from tests.stack.outbox import entries
from tests.stack.waiting import PATIENCE, eventually

AT = datetime(2026, 1, 1, tzinfo=UTC)


def family(**fields: Any) -> Family:
    fresh = Family(id="f", user_id="1", current="one", spent={}, expires_at=AT + timedelta(days=1))
    return replace(fresh, **fields)


def use(token: str, next_id: str = "next") -> RotateFamily:
    return RotateFamily(family="f", token_id=token, next_id=next_id, expires_at=AT + timedelta(days=2), entry=None)


def control_events() -> list[str]:
    return list(ControlEvent.objects.order_by("offset").values_list("kind", flat=True))


async def is_accepted(pair: TokenPair) -> bool:
    try:
        await authenticate(Credentials(token=pair.access))
    except Unauthenticated:
        return False
    return True


def test_a_used_token_is_reused_within_the_grace_and_stolen_after_it(settings: Settings) -> None:
    settings.REFRESH_GRACE_SECONDS = 10
    first = rotate(family(), use("one", "two"), AT)
    second = rotate(first, use("two", "three"), AT + timedelta(seconds=6))
    assert second.current == "three"
    for token in ("one", "two"):
        with pytest.raises(RefreshReused) as reused:
            rotate(second, use(token), AT + timedelta(seconds=9))
        assert not isinstance(reused.value, RefreshStolen)
    with pytest.raises(RefreshStolen):
        rotate(second, use("one"), AT + timedelta(seconds=11))
    with pytest.raises(RefreshStolen):
        rotate(second, use("never issued"), AT)


def test_a_family_that_has_ended_refreshes_nothing() -> None:
    for ended in (None, family(revoked_at=AT), family(expires_at=AT)):
        with pytest.raises(Unauthenticated) as refused:
            rotate(ended, use("one"), AT)
        assert not isinstance(refused.value, RefreshReused)


def test_a_family_remembers_a_bounded_number_of_used_tokens() -> None:
    now = family(current="0")
    for n in range(3 * MAX_SPENT):
        now = rotate(now, use(str(n), str(n + 1)), AT)
    assert len(now.spent) <= MAX_SPENT + 1


async def test_a_login_does_not_outrun_a_new_password(running: dict[str, User]) -> None:
    user = running["alice"]

    def change() -> None:
        user.set_password("another one 4711")
        user.save()
        connection.close()

    def meanwhile() -> Entry:
        """Called when the old password has been found right."""
        with ThreadPoolExecutor(1) as thread:
            thread.submit(change).result()
        return entry()

    with pytest.raises(Unauthenticated):
        await log_in("alice", PASSWORD, meanwhile)
    (family,) = await in_database(lambda: list(TokenFamily.objects.all()))
    assert family.revoked_at is not None
    assert (await log_in("alice", "another one 4711", entry)).access


async def test_of_fifty_parallel_refreshes_exactly_one_succeeds(running: dict[str, User]) -> None:
    pair = await pair_of("alice")
    answers = await asyncio.gather(*(refresh(pair.refresh, entry) for _ in range(50)), return_exceptions=True)
    won = [answer for answer in answers if isinstance(answer, TokenPair)]
    assert len(won) == 1
    assert Counter(type(answer) for answer in answers)[RefreshReused] == 49
    assert await is_accepted(pair)
    assert await is_accepted(won[0])
    assert isinstance(await refresh(won[0].refresh, entry), TokenPair)


async def test_reuse_after_the_grace_ends_the_family_and_is_on_record(
    running: dict[str, User], settings: Settings
) -> None:
    settings.REFRESH_GRACE_SECONDS = 0
    pair = await pair_of("alice")
    fresh = await refresh(pair.refresh, entry)
    assert await is_accepted(fresh)
    with pytest.raises(RefreshReused):
        await refresh(pair.refresh, entry)
    assert not await is_accepted(pair)
    assert not await is_accepted(fresh)
    with pytest.raises(Unauthenticated):
        await refresh(fresh.refresh, entry)
    assert await in_database(control_events) == ["family.revoked"]
    (ending,) = [one for one in await in_database(entries) if one["action"] == "auth/revoke"]
    assert (ending["user"], ending["outcome"]) == ("alice", "success")
    assert "used again" in ending["details"]["why"]


async def test_revoking_ends_every_token_of_the_login_at_once_and_no_other(running: dict[str, User]) -> None:
    pair, other = await pair_of("alice"), await pair_of("alice")
    fresh = await refresh(pair.refresh, entry)
    assert [await is_accepted(one) for one in (pair, fresh, other)] == [True, True, True]
    await revoke(pair.refresh, entry)
    assert [await is_accepted(one) for one in (pair, fresh, other)] == [False, False, True]
    await revoke(fresh.refresh, entry)
    assert await in_database(control_events) == ["family.revoked"]


async def test_a_token_that_is_verified_while_it_is_revoked_does_not_stay(running: dict[str, User]) -> None:
    for _ in range(10):
        pair = await pair_of("alice")
        await asyncio.gather(*(is_accepted(pair) for _ in range(3)), revoke(pair.refresh, entry))
        assert not await is_accepted(pair)


@pytest.mark.parametrize(
    ("name", "password"), [("alice", "wrong"), ("alice", ""), ("nobody", PASSWORD), ("ALICE", PASSWORD)]
)
async def test_a_wrong_login_is_refused(running: dict[str, User], name: str, password: str) -> None:
    with pytest.raises(Unauthenticated):
        await log_in(name, password, entry)


class Held(MD5PasswordHasher):
    """Makes a hash once it is let go."""

    algorithm = "held"
    released = threading.Event()

    def encode(self, password: str, salt: str) -> str:
        assert self.released.wait(60)
        return super().encode(password, salt)


async def test_logins_beyond_what_can_wait_are_told_to_come_back(running: dict[str, User], settings: Settings) -> None:
    settings.PASSWORD_HASHERS = [f"{__name__}.Held"]
    Held.released.clear()
    logins = [asyncio.create_task(log_in("nobody", "wrong", entry)) for _ in range(2 * MAX_CHECKS)]
    await eventually(lambda: sum(login.done() for login in logins) == MAX_CHECKS, PATIENCE, "those beyond are told")
    Held.released.set()
    answers = Counter(type(answer) for answer in await asyncio.gather(*logins, return_exceptions=True))
    assert answers == {WrongLogin: MAX_CHECKS, Unavailable: MAX_CHECKS}


async def test_a_user_who_is_not_active_can_neither_log_in_nor_refresh(running: dict[str, User]) -> None:
    pair = await pair_of("alice")
    await in_database(User.objects.filter(username="alice").update, is_active=False)
    with pytest.raises(Unauthenticated):
        await pair_of("alice")
    with pytest.raises(Unauthenticated):
        await refresh(pair.refresh, entry)


async def test_neither_password_nor_token_is_on_record(running: dict[str, User]) -> None:
    pair = await pair_of("alice")
    fresh = await refresh(pair.refresh, entry)
    await revoke(fresh.refresh, entry)
    recorded = json.dumps(await in_database(entries))
    for secret in (PASSWORD, pair.access, pair.refresh, fresh.refresh):
        assert secret not in recorded


async def test_a_thief_who_does_not_wait_for_the_answer_ends_the_family_all_the_same(
    running: dict[str, User], settings: Settings
) -> None:
    settings.REFRESH_GRACE_SECONDS = 0
    pair = await pair_of("alice")
    current = await refresh(pair.refresh, entry)
    others = asyncio.all_tasks()
    stealing = asyncio.create_task(refresh(pair.refresh, entry))
    for _ in range(1_000_000):
        if len(under_way := asyncio.all_tasks() - others) == 2:
            break
        await asyncio.sleep(0)
    assert stealing.cancel(), "the rotation is under way"
    await asyncio.wait(under_way, timeout=60)
    assert stealing.cancelled() and not await is_accepted(current)
