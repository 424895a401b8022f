"""The session of a request: held by this process, else in the cache, else in the database, else made (seed §2.2).

What is held is kept true by control events; only an active session is ever taken from memory without a look, so what
somebody suspended or closed elsewhere is at most as old as the control stream's lag, which is below a second.
"""

import asyncio
import re
import time
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial

from django.conf import settings
from django.db.models import QuerySet
from uuid_utils import uuid7

from audit_app.database import in_database
from audit_app.deadlines import without_deadline
from audit_app.trail import Entry
from audit_app.writer import writer
from encryption_app.submission import submit_sealing
from resources_app.hub.hub import CONTROL_LOST, hub
from resources_app.log.control import ControlEvent
from sessions_app import shared
from sessions_app.access.rulebook import rulebook
from sessions_app.api_keys import uses
from sessions_app.authentication import follow_tokens, tokens
from sessions_app.callers import Caller
from sessions_app.commands import MoveSession, OpenSession, suspended
from sessions_app.errors import SessionNotFound
from sessions_app.held import held
from sessions_app.keys import ring
from sessions_app.models import Session, TokenFamily
from sessions_app.records import SessionRecord
from sessions_app.sealed import sealed_or_bare
from sessions_app.session_rows import record_of
from sessions_app.states import Reason, State
from sessions_app.upkeep import RecordActivity
from telemetry_app.metrics import CACHE_REQUESTS

MAX_TRIES = 3
MAX_CLIENT_ID = 255
ID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")

HITS = CACHE_REQUESTS.labels("held_sessions", "hit")
MISSES = CACHE_REQUESTS.labels("held_sessions", "miss")

FIELDS = (
    *("id", "user_id", "family", "state", "reason", "client_id", "label", "metadata"),
    *("created_at", "last_active_at", "position", "sealed", "user__username"),
)


async def session_for(caller: Caller, session_id: str | None, client_id: str) -> SessionRecord:
    """The session that a request of this caller runs in; without an id, that of its token family.

    Suspends only for a session that this process does not hold as active. A session that is suspended for being idle
    is woken. Raises SessionNotFound for one that is not the caller's or has ended, Forbidden for one that an admin has
    suspended.
    """
    record = held_session(caller, session_id)
    if record is not None:
        HITS.inc()
        return record
    if not caller.family and not session_id:
        return _passing(caller, client_id)
    MISSES.inc()
    found = await (_by_id(caller, session_id) if session_id else _of_family(caller, client_id))
    if found.state is State.SUSPENDED:
        if found.reason is not Reason.IDLE:
            raise suspended(found)
        found = await _wake(caller, found)
    return found


def held_session(caller: Caller, session_id: str | None) -> SessionRecord | None:
    """The session that a request of this caller runs in, if this process holds it as active."""
    id = session_id or held.of_family.get(caller.family)
    record = held.records.get(id) if id else None
    if record is None or record.state is not State.ACTIVE or record.user_id != caller.user_id or not hub.started:
        return None
    return record


def touch(record: SessionRecord) -> None:
    """The session is active now; it is written down by the next `write_activity`."""
    if record.id:
        record.last_active_at = datetime.now(UTC)
        held.active[record.id] = record


def activity_interval() -> float:
    """Seconds between two calls of `write_activity`."""
    return min(10.0, settings.SESSION_IDLE_SECONDS / 4)


async def write_activity() -> None:
    """Write down, in one command, which sessions have been active since the last call, and their positions.

    So is when API keys were used. Raises what the writer raises, or PartAway; what was not written is tried again with
    the next call.
    """
    await uses.write()
    active, held.active = held.active, {}
    stored = {
        id: (record.last_active_at, record.position) for id, record in active.items() if record.backend == "database"
    }
    try:
        if stored:
            await writer.submit(RecordActivity(seen=stored))
        for record in active.values():
            if record.backend == "cache" and record.is_living:
                await in_database(shared.touch_session, record)
    except BaseException:
        held.active = active | held.active
        raise


def follow_control(event: ControlEvent) -> None:
    """Take in a control event: keep what this process holds of callers and sessions true.

    To be called in the event loop, for every one, in order (`hub.on_control`).
    """
    if event.kind == CONTROL_LOST:
        forget()
        rulebook.renew()
        return
    follow_tokens(event)
    if event.kind.startswith("key."):
        ring.reload()
    rulebook.follow(event)
    if event.kind.startswith("session."):
        held.follow(event)


def forget() -> None:
    """Hold nothing: whoever begins to follow the control stream begins with this."""
    tokens.clear()
    held.clear()
    ring.forget()
    rulebook.forget()


def stored_session(id: str) -> SessionRecord | None:
    """A session as the database has it, or the cache for the backend `cache`; None for one that has ended."""
    if not ID.fullmatch(id):
        return None
    rows = stored_sessions(Session.objects.filter(id=id), 1)
    if rows:
        return rows[0] if rows[0].is_living else None
    found = shared.get_session(id)
    return found.record if found is not None and not found.is_copy and found.record.is_living else None


def stored_sessions(rows: QuerySet[Session], limit: int) -> list[SessionRecord]:
    """The records of rows, with the names of their users."""
    return [replace(record_of(row), user=name or "") for *row, name in rows.values_list(*FIELDS)[:limit]]


async def _by_id(caller: Caller, id: str, *, strong: bool = False) -> SessionRecord:
    record = await (_steady(id, strong=True) if strong else _loaded(id)) if ID.fullmatch(id) else None
    if record is None or record.user_id != caller.user_id:
        raise SessionNotFound()
    return record


async def _of_family(caller: Caller, client_id: str) -> SessionRecord:
    id = held.of_family.get(caller.family) or await in_database(_pointer, caller.family)
    found = await _loaded(id) if id else None
    is_own = found is not None and found.user_id == caller.user_id
    record = found if found is not None and is_own else await _open(caller, client_id)
    if hub.started:
        held.of_family.put(caller.family, record.id)
    return record


async def _loaded(id: str) -> SessionRecord | None:
    """A session from the cache or the database; requests that ask for it at the same time wait for the same read."""
    loading = held.loadings.get(id)
    if loading is None:
        loading = held.loadings[id] = asyncio.create_task(
            _steady(id, strong=not hub.started), context=without_deadline()
        )
        loading.add_done_callback(lambda _: held.loadings.pop(id, None))
    return await asyncio.shield(loading)


async def _steady(id: str, *, strong: bool) -> SessionRecord | None:
    """A session from the cache (unless `strong`) or the database, held from now on.

    It is read again when it changed while it was read.
    """
    for _ in range(MAX_TRIES):
        changed_at, as_of = held.changed_at(id), hub.control_position
        record = await in_database(stored_session, id) if strong else await in_database(_copy, id, changed_at, as_of)
        if held.changed_at(id) == changed_at:
            break
    return held.hold(record) if record is not None else None


async def _open(caller: Caller, client_id: str) -> SessionRecord:
    """Make the session of a token family; requests that ask for it at the same time wait for the same one."""
    opening = held.openings.get(caller.family)
    if opening is None:
        opening = held.openings[caller.family] = asyncio.create_task(
            _submit_opening(caller, client_id), context=without_deadline()
        )
        opening.add_done_callback(lambda _: held.openings.pop(caller.family, None))
    return await asyncio.shield(opening)


async def _submit_opening(caller: Caller, client_id: str) -> SessionRecord:
    record = new_session(caller, client_id=client_id)
    as_of = hub.control_position
    opened: SessionRecord = await submit_sealing(
        partial(sealed_or_bare, record),
        lambda left, ready: OpenSession(family=caller.family, record=ready, entry=left),
        lambda: _system_entry("sessions/create", caller, record.id),
    )
    if hub.started:
        await in_database(shared.put_session, opened, as_of)
    return held.hold(opened)


async def _wake(caller: Caller, record: SessionRecord) -> SessionRecord:
    """Wake a session that is suspended for being idle. Raises Forbidden when it is suspended again by now."""
    cached = record if record.backend == "cache" else None
    entry = _system_entry("sessions/resume", caller, record.id)
    woken: SessionRecord = await writer.submit(
        MoveSession(session=record.id, user=record.user, to=State.ACTIVE, is_activity=True, cached=cached, entry=entry)
    )
    if cached is not None:
        await in_database(shared.put_session, woken)
    found = await _by_id(caller, record.id, strong=True)
    if found.state is State.SUSPENDED:
        raise suspended(found)
    return found


def new_session(caller: Caller, *, client_id: str) -> SessionRecord:
    """A session of a caller that the writer has not seen yet. An overlong client id is cut."""
    at = datetime.now(UTC)
    return SessionRecord(
        id=str(uuid7()),
        user_id=caller.user_id,
        user=caller.name,
        family=caller.family,
        state=State.INITIALIZING,
        client_id=client_id[:MAX_CLIENT_ID],
        created_at=at,
        last_active_at=at,
    )


def _passing(caller: Caller, client_id: str) -> SessionRecord:
    """What stands for a session while a user of the Django admin does one thing."""
    record = new_session(caller, client_id=client_id)
    record.id, record.state = "", State.ACTIVE
    return record


def _copy(id: str, changed_at: int, as_of: int) -> SessionRecord | None:
    """A session from its copy in the cache, if that is no older than its last change; else from where it is stored."""
    found = shared.get_session(id, changed_at)
    if found is not None and found.is_copy:
        return found.record
    record = stored_session(id)
    if record is not None and record.backend == "database":
        shared.put_session(record, as_of)
    return record


def _pointer(family: str) -> str:
    return TokenFamily.objects.filter(id=family).values_list("session_id", flat=True).first() or ""


def _system_entry(action: str, caller: Caller, session_id: str) -> Entry:
    """The entry of what a request sets off beside its own work."""
    return Entry(
        timestamp=time.time(),
        action=action,
        transport="system",
        user_id=caller.user_id,
        user=caller.name,
        resource_type="session",
        resource_id=session_id,
        session_id=session_id,
    )
