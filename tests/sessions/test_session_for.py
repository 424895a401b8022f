"""Which session a request runs in: cache, database, made; woken, refused (contract §6)."""

import asyncio
import time
from dataclasses import replace
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.core.cache import cache
from pytest_django import Settings

from audit_app.database import in_database
from audit_app.deadlines import deadline, without_deadline
from audit_app.writer import writer
from sessions_app import shared
from sessions_app.actions.sessions import create_session, move_session, update_session
from sessions_app.callers import Caller
from sessions_app.errors import Forbidden, IllegalTransition, SessionNotFound
from sessions_app.held import held
from sessions_app.models import Session, TokenFamily
from sessions_app.queries import find_session, list_sessions
from sessions_app.records import Backend, SessionRecord
from sessions_app.sessions import forget, session_for, touch, write_activity
from sessions_app.states import Reason, State
from sessions_app.upkeep import SweepSessions
from telemetry_app.metrics import CACHE_REQUESTS
from tests.sessions.conftest import caller_of, entry

REDIS_THAT_IS_DOWN = {
    "default": {
        "BACKEND": "django.core.cache.backends.redis.RedisCache",
        "LOCATION": "redis://127.0.0.1:9/0",
        "OPTIONS": {"socket_connect_timeout": 1},
    }
}


@pytest.fixture
async def alice(running: dict[str, User]) -> Caller:
    await in_database(cache.clear)
    return await caller_of("alice")


async def created(caller: Caller, backend: Backend = "database", **fields: Any) -> SessionRecord:
    given = {"label": "", "client_id": "", "metadata": {}} | fields
    return await create_session(caller, backend=backend, entry=entry, **given)


def counted(result: str) -> int:
    """Look-ups in the session cache that came to a result."""
    return CACHE_REQUESTS.labels("sessions", result).count


async def idle(id: str) -> None:
    await writer.submit(SweepSessions(sessions=[id], to=State.SUSPENDED, reason=Reason.IDLE, why="test", entry=entry()))


async def test_parallel_first_requests_make_one_session(alice: Caller) -> None:
    records = await asyncio.gather(*(session_for(alice, None, "cli") for _ in range(50)))
    assert len({record.id for record in records}) == 1
    assert (records[0].state, records[0].client_id) == (State.ACTIVE, "cli")
    assert await in_database(Session.objects.count) == 1


async def test_openings_that_know_nothing_of_each_other_make_one_session(alice: Caller) -> None:
    async def open_as_another_process() -> str:
        held.openings.clear()
        return (await session_for(alice, None, "")).id

    assert len(set(await asyncio.gather(*(open_as_another_process() for _ in range(20))))) == 1
    assert await in_database(Session.objects.count) == 1


async def test_another_process_finds_the_same_session(alice: Caller) -> None:
    first = await session_for(alice, None, "")
    forget()
    assert (await session_for(alice, None, "")).id == first.id
    forget()
    await in_database(cache.clear)
    assert (await session_for(alice, None, "")).id == first.id


async def test_an_overlong_client_id_is_cut(alice: Caller) -> None:
    assert len((await session_for(alice, None, "c" * 5000)).client_id) == 255


async def test_two_logins_have_two_sessions(alice: Caller) -> None:
    other = await caller_of("alice")
    assert (await session_for(alice, None, "")).id != (await session_for(other, None, "")).id


async def test_what_is_held_is_found_without_suspending(alice: Caller) -> None:
    record = await session_for(alice, None, "")
    for id in (None, record.id):
        coroutine = session_for(alice, id, "")
        with pytest.raises(StopIteration) as finished:
            coroutine.send(None)
        assert finished.value.value is record


@pytest.mark.parametrize("backend", ["database", "cache"])
async def test_a_session_is_found_by_its_id_and_by_its_user_alone(alice: Caller, backend: Backend) -> None:
    session = await created(alice, backend)
    bob = await caller_of("bob")
    for _ in range(2):
        assert (await session_for(alice, session.id, "")).id == session.id
        with pytest.raises(SessionNotFound):
            await session_for(bob, session.id, "")
        forget()
    with pytest.raises(SessionNotFound):
        await session_for(alice, "no such session", "")


@pytest.mark.parametrize("backend", ["database", "cache"])
async def test_a_suspended_session_is_refused_until_an_admin_resumes_it(alice: Caller, backend: Backend) -> None:
    session = await created(alice, backend)
    record = await session_for(alice, session.id, "")
    suspended = await move_session(session.id, None, State.SUSPENDED, entry, Reason.ADMIN)
    assert (suspended.state, suspended.reason, suspended.user) == (State.SUSPENDED, Reason.ADMIN, "alice")
    assert record.state is State.SUSPENDED
    for _ in range(2):
        with pytest.raises(Forbidden) as refused:
            await session_for(alice, session.id, "")
        assert refused.value.data == {"state": "suspended", "reason": "admin"}
        forget()
    with pytest.raises(IllegalTransition):
        await move_session(session.id, None, State.SUSPENDED, entry, Reason.ADMIN)
    await move_session(session.id, None, State.ACTIVE, entry)
    assert (await session_for(alice, session.id, "")).state is State.ACTIVE


async def test_parallel_requests_of_a_session_that_is_not_held_share_one_look(alice: Caller) -> None:
    session = await session_for(alice, None, "")
    forget()
    looks = counted("hit") + counted("miss")
    records = await asyncio.gather(*(session_for(alice, session.id, "") for _ in range(50)))
    assert {id(record) for record in records} == {id(records[0])}
    assert counted("hit") + counted("miss") == looks + 1


async def test_a_look_that_is_shared_has_nobodys_deadline(alice: Caller) -> None:
    session = await session_for(alice, None, "")
    forget()
    late = without_deadline()
    late.run(deadline.set, time.monotonic())
    first = asyncio.create_task(session_for(alice, session.id, ""), context=late)
    second = asyncio.create_task(session_for(alice, session.id, ""))
    assert {(await first).id, (await second).id} == {session.id}


async def test_a_copy_that_a_change_has_overtaken_is_not_trusted(alice: Caller) -> None:
    session = await session_for(alice, None, "")
    overtaken = counted("stale")
    stale = await in_database(shared.get_session, session.id)
    assert stale is not None and stale.record.state is State.ACTIVE
    await move_session(session.id, None, State.SUSPENDED, entry, Reason.ADMIN)
    for knows_of_the_change in (True, False):
        await in_database(shared.put_session, stale.record, stale.as_of)
        with pytest.raises(Forbidden):
            await session_for(alice, None, "")
        if knows_of_the_change:
            forget()
    assert counted("stale") == overtaken + 2


async def test_a_copy_spares_the_database_a_question(alice: Caller) -> None:
    session = await session_for(alice, None, "")
    held.clear()
    await in_database(Session.objects.filter(id=session.id).update, client_id="changed past the writer")
    assert (await session_for(alice, session.id, "")).client_id == ""


async def test_activity_wakes_an_idle_session(alice: Caller) -> None:
    session = await session_for(alice, None, "")
    await idle(session.id)
    assert (session.state, session.reason) == (State.SUSPENDED, Reason.IDLE)
    woken = await asyncio.gather(*(session_for(alice, None, "") for _ in range(10)))
    assert {(record.id, record.state) for record in woken} == {(session.id, State.ACTIVE)}
    forget()
    await idle(session.id)
    assert (await session_for(alice, session.id, "")).state is State.ACTIVE


@pytest.mark.parametrize("backend", ["database", "cache"])
async def test_a_closed_session_is_gone_for_everybody(alice: Caller, backend: Backend) -> None:
    session = await created(alice, backend)
    await session_for(alice, session.id, "")
    await move_session(session.id, alice.user_id, State.TERMINATING, entry)
    for _ in range(2):
        with pytest.raises(SessionNotFound):
            await session_for(alice, session.id, "")
        forget()
    with pytest.raises(SessionNotFound):
        await move_session(session.id, None, State.TERMINATING, entry)
    with pytest.raises(SessionNotFound):
        await in_database(find_session, session.id, None)


async def test_after_its_session_was_closed_a_login_gets_a_new_one(alice: Caller) -> None:
    first = await session_for(alice, None, "")
    await move_session(first.id, alice.user_id, State.TERMINATING, entry)
    second = await session_for(alice, None, "")
    assert second.id != first.id
    pointer = await in_database(TokenFamily.objects.values_list("session_id", flat=True).get, id=alice.family)
    assert pointer == second.id


@pytest.mark.parametrize("backend", ["database", "cache"])
async def test_label_and_metadata_can_be_changed(alice: Caller, backend: Backend) -> None:
    session = await created(alice, backend, label="a", metadata={"n": 1})
    await session_for(alice, session.id, "")
    labelled = await update_session(session.id, alice.user_id, "b", None, entry)
    assert (labelled.label, labelled.metadata) == ("b", {"n": 1})
    await update_session(session.id, None, None, {}, entry)
    found = await in_database(find_session, session.id, alice.user_id)
    assert (found.label, found.metadata, found.user) == ("b", {}, "alice")
    with pytest.raises(SessionNotFound):
        await update_session(session.id, "0", "c", None, entry)


async def test_a_session_in_the_cache_alone_has_no_row(alice: Caller) -> None:
    await created(alice, "cache")
    assert await in_database(Session.objects.count) == 0


async def test_activity_and_position_are_written_together(alice: Caller) -> None:
    sessions = [await created(alice) for _ in range(3)]
    for position, session in enumerate(sessions, 5):
        record = await session_for(alice, session.id, "")
        touch(record)
        record.position = position
    await write_activity()
    rows = {row.id: row for row in await in_database(lambda: list(Session.objects.all()))}
    assert [rows[session.id].position for session in sessions] == [5, 6, 7]
    assert all(rows[session.id].last_active_at > session.last_active_at for session in sessions)
    assert not held.active


async def test_what_was_not_written_yet_is_shown_all_the_same(alice: Caller) -> None:
    session = await session_for(alice, None, "")
    touch(session)
    found = await in_database(find_session, session.id, alice.user_id)
    assert found.last_active_at == session.last_active_at


async def test_lists_are_paged_and_ones_own(alice: Caller) -> None:
    bob = await caller_of("bob")
    mine = [(await created(alice)).id for _ in range(5)]
    await created(bob)
    first = await in_database(list_sessions, alice.user_id, "", 3)
    rest = await in_database(list_sessions, alice.user_id, first[-1].id, 3)
    assert [record.id for record in [*first, *rest]] == mine
    assert {record.user for record in await in_database(list_sessions, None, "", 100)} == {"alice", "bob"}


async def test_a_cache_that_is_down_is_only_slower(alice: Caller, settings: Settings) -> None:
    settings.CACHES = REDIS_THAT_IS_DOWN
    session = await session_for(alice, None, "")
    forget()
    assert (await session_for(alice, None, "")).id == session.id
    await move_session(session.id, None, State.SUSPENDED, entry, Reason.ADMIN)
    with pytest.raises(Forbidden):
        await session_for(alice, None, "")


async def test_a_caller_of_the_admin_has_no_session_to_keep(alice: Caller) -> None:
    record = await session_for(replace(alice, family=""), None, "admin")
    touch(record)
    assert (record.id, record.state) == ("", State.ACTIVE)
    assert not held.active
