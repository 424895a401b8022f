"""What Celery does to sessions and tokens: suspend the idle, end the orphaned, destroy the ended."""

from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.utils.timezone import now
from pytest_django import Settings

from audit_app.database import in_database
from resources_app.models import Subscription
from sessions_app import tasks
from sessions_app.actions.sessions import create_session, move_session
from sessions_app.actions.tokens import revoke
from sessions_app.callers import Caller
from sessions_app.models import Session, TokenFamily
from sessions_app.records import SessionRecord
from sessions_app.sessions import session_for
from sessions_app.states import Reason, State
from tests.sessions.conftest import caller_of, entry, pair_of


@pytest.fixture
async def alice(running: dict[str, User]) -> Caller:
    return await caller_of("alice")


async def aged(record: SessionRecord, seconds: float) -> None:
    """Make a session look as if it was used last some seconds ago."""
    await in_database(Session.objects.filter(id=record.id).update, last_active_at=now() - timedelta(seconds=seconds))


async def states() -> dict[str, str]:
    return dict(await in_database(lambda: list(Session.objects.values_list("id", "state"))))


def subscribed(session: SessionRecord) -> Any:
    return Subscription.objects.create(
        id=f"subscription of {session.id}"[:36],
        pattern="resource://a/b",
        user_id=session.user_id,
        session_id=session.id,
        events="updated",
        options="{}",
        offset=0,
        created_at=now(),
    )


async def test_a_session_is_suspended_when_it_was_not_used(alice: Caller, settings: Settings) -> None:
    settings.SESSION_IDLE_SECONDS = 60
    session = await session_for(alice, None, "")
    assert await in_database(tasks.expire_idle_sessions) == 0
    await aged(session, 65)
    assert await in_database(tasks.expire_idle_sessions) == 0
    await aged(session, 80)
    assert await in_database(tasks.expire_idle_sessions) == 1
    assert await in_database(tasks.expire_idle_sessions) == 0
    assert (session.state, session.reason) == (State.SUSPENDED, Reason.IDLE)
    assert (await session_for(alice, None, "")).state is State.ACTIVE
    assert await in_database(tasks.expire_idle_sessions) == 0


async def test_a_session_whose_client_was_never_ready_goes_the_way_of_idle_ones(alice: Caller) -> None:
    session = await create_session(
        alice, backend="database", label="", client_id="", metadata={}, entry=entry, is_ready=False
    )
    assert await in_database(tasks.expire_idle_sessions) == 0
    for state in ("active", "suspended"):
        await aged(session, 10_000)
        await in_database(tasks.expire_idle_sessions)
        assert (await states())[session.id] == state


async def test_many_sessions_are_suspended_in_batches(alice: Caller, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tasks, "BATCH", 2)
    for _ in range(5):
        await aged(await session_for(await caller_of("bob"), None, ""), 10_000)
    assert await in_database(tasks.expire_idle_sessions) == 5


async def test_a_closed_session_is_destroyed_and_its_subscriptions_are_released(alice: Caller) -> None:
    session, other = await session_for(alice, None, ""), await session_for(await caller_of("alice"), None, "")
    for one in (session, other):
        await in_database(subscribed, one)
    await move_session(session.id, None, State.TERMINATING, entry)
    left = await in_database(lambda: list(Subscription.objects.values_list("session_id", flat=True)))
    assert left == [other.id]
    assert await states() == {session.id: "terminating", other.id: "active"}
    assert await in_database(tasks.clean_sessions) == 1
    assert await states() == {other.id: "active"}


async def test_the_sessions_of_a_user_who_may_not_log_in_end(alice: Caller) -> None:
    session = await session_for(alice, None, "")
    suspended = await session_for(await caller_of("alice"), None, "")
    await move_session(suspended.id, None, State.SUSPENDED, entry, Reason.ADMIN)
    await in_database(User.objects.filter(username="alice").update, is_active=False)
    assert await in_database(tasks.clean_sessions) == 2
    assert session.state is State.DEAD
    assert await states() == {}


async def test_the_session_of_a_login_ends_with_its_tokens(running: dict[str, User]) -> None:
    pair = await pair_of("alice")
    caller, other = await caller_of("alice"), await caller_of("alice")
    session, expired = await session_for(caller, None, ""), await session_for(other, None, "")
    await in_database(TokenFamily.objects.filter(id=other.family).update, expires_at=now())
    await revoke(pair.refresh, entry)
    assert await in_database(tasks.clean_sessions) == 1
    assert await states() == {session.id: "active"}
    assert expired.state is State.TERMINATING


async def test_expired_families_are_forgotten_after_a_day(alice: Caller) -> None:
    other = await caller_of("alice")
    await in_database(TokenFamily.objects.filter(id=other.family).update, expires_at=now() - timedelta(days=2))
    await in_database(tasks.clean_sessions)
    assert await in_database(lambda: list(TokenFamily.objects.values_list("id", flat=True))) == [alice.family]
