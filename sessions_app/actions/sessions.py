"""Make sessions, move them along the graph, change what they know.

`entry` is called when a change is handed to the writer: what is refused before leaves its entry elsewhere.
"""

from collections.abc import Callable, Coroutine, Mapping
from dataclasses import replace
from functools import partial
from typing import Any

from audit_app.database import in_database
from audit_app.deadlines import deadline
from audit_app.errors import Refusal
from audit_app.once import Replayed
from audit_app.trail import Entry
from audit_app.writer import writer
from encryption_app.envelope import DataKey
from encryption_app.submission import submit_sealing
from sessions_app import shared
from sessions_app.actions.completion import to_the_end
from sessions_app.callers import Caller
from sessions_app.commands import CreateSession, MoveSession, UpdateSession
from sessions_app.queries import find_session
from sessions_app.records import Backend, SessionRecord
from sessions_app.sealed import key_for, opener_of, sealed, sealing
from sessions_app.sessions import new_session
from sessions_app.states import NEXT, Reason, State, step


async def create_session(
    caller: Caller,
    *,
    backend: Backend,
    label: str,
    client_id: str,
    metadata: Mapping[str, Any],
    entry: Callable[[], Entry],
    is_ready: bool = True,
) -> SessionRecord:
    """A further session of a caller, which is active unless its client has yet to say that `is_ready`.

    Raises TooManySessions; Unavailable when the cache does not keep one of the backend `cache`.
    """
    record = new_session(caller, client_id=client_id)
    record.backend, record.label, record.metadata = backend, label, dict(metadata)

    async def key() -> DataKey | None:
        """The data key of the session, which the cache has before the writer hears of it."""
        found = await key_for(record.user_id)
        if backend == "cache":
            begun = replace(record, state=step(record.state, State.ACTIVE)) if is_ready else record
            record.place = (await in_database(shared.add_session, sealed(begun, found))).place
        return found

    creation = submit_sealing(
        key,
        lambda left, key: CreateSession(record=sealed(record, key), is_ready=is_ready, entry=sealing(left, key)),
        entry,
    )
    created: SessionRecord = await (to_the_end(_create_cached(record, creation)) if backend == "cache" else creation)
    return created


async def update_session(
    id: str,
    user_id: str | None,
    label: str | None,
    metadata: Mapping[str, Any] | None,
    entry: Callable[[], Entry],
    is_ready: bool = False,
) -> SessionRecord:
    """Set a session's label, metadata or both; one that `is_ready` becomes active.

    Raises SessionNotFound, Forbidden for one that an admin has suspended; as `submit_sealing` and `open_session` do.
    """
    before = await in_database(find_session, id, user_id)
    is_cached = before.backend == "cache"

    def command(left: Entry, key: DataKey | None) -> UpdateSession:
        return UpdateSession(
            session=id,
            user_id=user_id,
            user=before.user,
            label=label,
            metadata=metadata,
            is_ready=is_ready,
            cached=before if is_cached else None,
            key=key,
            entry=sealing(left, key),
        )

    update = submit_sealing(partial(key_for, before.user_id), command, entry)
    after: SessionRecord = await (to_the_end(_update_cached(update)) if is_cached else update)
    return after


async def move_session(
    id: str, user_id: str | None, to: State, entry: Callable[[], Entry], reason: Reason = Reason.NONE
) -> SessionRecord:
    """Move a session along the graph; every node knows within a second. Raises SessionNotFound, IllegalTransition.

    That needs no key: without one, the result is locked.
    """
    before = await in_database(find_session, id, user_id)
    cached = before if before.backend == "cache" else None
    key = await opener_of(before)
    command = MoveSession(
        session=id,
        user_id=user_id,
        user=before.user,
        to=to,
        reason=reason,
        cached=cached,
        key=key,
        entry=sealing(entry(), key),
    )
    if cached is None:
        after: SessionRecord = await writer.submit(command)
        return after
    return await to_the_end(_move_cached(command, cached))


async def _create_cached(record: SessionRecord, creation: Coroutine[Any, Any, SessionRecord]) -> SessionRecord:
    try:
        return await creation
    except (Refusal, Replayed):
        # what was not made takes no place from what is made next
        deadline.set(None)
        await in_database(shared.drop_session, record)
        raise


async def _move_cached(command: MoveSession, cached: SessionRecord) -> SessionRecord:
    # before the event goes out, so that whoever hears of it finds the new state
    if command.to in NEXT[cached.state]:
        await in_database(shared.put_session, replace(cached, state=command.to, reason=command.reason))
    try:
        after: SessionRecord = await writer.submit(command)
    except (Refusal, Replayed):
        # the cache is told what is true, however late
        deadline.set(None)
        await in_database(shared.put_session, cached)
        raise
    return after


async def _update_cached(update: Coroutine[Any, Any, SessionRecord]) -> SessionRecord:
    after = await update
    deadline.set(None)
    await in_database(shared.put_session, after)
    return after
