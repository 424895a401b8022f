"""Sessions as the writer keeps them: what a command does to a session is decided here, purely, along the graph."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import singledispatch
from typing import Any

import orjson
from django.conf import settings

from audit_app.bulk import Bulk, Row, table_of
from audit_app.commands import Decision, Store
from audit_app.trail import Entry
from encryption_app.envelope import DataKey
from encryption_app.errors import ContentTampered, KeysMissing
from encryption_app.store import destroyed
from resources_app.log.control import ControlEvent
from resources_app.subscriptions import release_subscriptions
from sessions_app.errors import Forbidden, SessionNotFound, TooManySessions
from sessions_app.models import Session, TokenFamily
from sessions_app.records import SessionRecord, kept
from sessions_app.room import Room, is_unused, room_for
from sessions_app.sealed import as_kept, opened, opened_by, sealed, sealer_of
from sessions_app.states import NEXT, Reason, State, step

SESSIONS = table_of(
    Session,
    *("id", "user", "family", "state", "reason", "client_id", "label", "metadata"),
    *("created_at", "last_active_at", "position", "sealed"),
)
LIVES = table_of(Session, "id", "state", "reason", "last_active_at", "position")
"""What changes of a session while it lives, besides what it knows."""

POINTERS = table_of(TokenFamily, "id", "session_id")

KINDS = {
    (State.ACTIVE, State.SUSPENDED): "session.suspended",
    (State.SUSPENDED, State.ACTIVE): "session.resumed",
    (State.ACTIVE, State.TERMINATING): "session.closed",
    (State.SUSPENDED, State.TERMINATING): "session.closed",
    (State.ACTIVE, State.DEAD): "session.dead",
}
"""The control event that tells every node of a transition."""


@dataclass(slots=True)
class SessionsOfBatch:
    """The sessions of one batch as the decisions so far have left them, and which session each family uses.

    `rooms` are of the users who get new ones. `destroyed` are those data keys which the batch would use, and which
    nobody has any more.
    """

    now: dict[str, SessionRecord]
    pointers: dict[str, str]
    rooms: dict[str, Room] = field(default_factory=dict)
    fresh: set[str] = field(default_factory=set)
    changed: set[str] = field(default_factory=set)
    rewritten: set[str] = field(default_factory=set)
    gone: set[str] = field(default_factory=set)
    pointed: set[str] = field(default_factory=set)
    ended: set[str] = field(default_factory=set)
    destroyed: set[str] = field(default_factory=set)

    def living(self, id: str, user_id: str | None) -> SessionRecord:
        """A session that has not ended, of that user (None: of anybody). Raises SessionNotFound."""
        record = self.now.get(id)
        if record is None or not record.is_living or user_id not in (None, record.user_id):
            raise SessionNotFound()
        return record

    def prove(self, sealer: str) -> None:
        """Raise KeysMissing when the data key under which something is to be kept was destroyed."""
        if sealer in self.destroyed:
            raise KeysMissing(gone=[sealer])

    def put(self, record: SessionRecord, *, is_rewritten: bool = False) -> None:
        """Take a session as it is now; `is_rewritten` where what it knows, or how that is kept, is another."""
        self.now[record.id] = record
        if not record.is_living:
            self.ended.add(record.id)
        if record.id not in self.fresh and record.backend == "database":
            self.changed.add(record.id)
            if is_rewritten:
                self.rewritten.add(record.id)

    def add(self, record: SessionRecord, at: datetime) -> list[ControlEvent]:
        """Add a session; the events are those of one that ends for it. Raises TooManySessions."""
        events = []
        if record.backend == "database":
            events = self._make_room(record.user_id, at)
            self.fresh.add(record.id)
        self.now[record.id] = record
        return events

    def _make_room(self, user_id: str, at: datetime) -> list[ControlEvent]:
        room = self.rooms[user_id]
        if room.count < settings.SESSIONS_PER_USER:
            room.count += 1
            return []
        for id in room.unused:
            unused = self.now.get(id)
            if unused is not None and is_unused(unused, at):
                after, event = _moved(unused, State.TERMINATING, Reason.NONE, at)
                self.put(after)
                return [event]
        raise TooManySessions(limit=settings.SESSIONS_PER_USER)


class SessionStore(Store):
    """One store for the sessions of both backends; those of the backend `cache` come with their command."""

    def load(self, db: Bulk, commands: Sequence["SessionCommand"]) -> SessionsOfBatch:
        records = [command.record for command in commands if isinstance(command, CreateSession | OpenSession)]
        wanted = Counter(record.user_id for record in records if record.backend == "database")
        # before any row, which others may hold that wait for the same owner
        db.lock_owners(SESSIONS, map(int, wanted))
        families = [command.family for command in commands if isinstance(command, OpenSession)]
        pointers = {row[0]: row[1] for row in db.select(POINTERS, "id", families, lock=True)}
        ids = {id for command in commands for id in command.touched} | {id for id in pointers.values() if id}
        state = SessionsOfBatch({row[0]: record_of(row) for row in db.select(SESSIONS, "id", ids, lock=True)}, pointers)
        for command in commands:
            if isinstance(command, MoveSession | UpdateSession) and command.cached is not None:
                state.now[command.session] = command.cached
        sealers = {sealer for command in commands for sealer in _sealers(command)}
        if sealers:
            state.destroyed = destroyed(db, sealers)
        state.rooms = room_for(wanted)
        unused = {id for room in state.rooms.values() for id in room.unused} - state.now.keys()
        state.now |= {row[0]: record_of(row) for row in db.select(SESSIONS, "id", unused, lock=True)} if unused else {}
        return state

    def decide(self, state: SessionsOfBatch, command: "SessionCommand", at: datetime) -> Decision:
        return decide(command, state, at)

    def save(self, db: Bulk, state: SessionsOfBatch) -> None:
        db.insert(SESSIONS, [row_of(state.now[id]) for id in sorted(state.fresh)])
        # what a session knows stays as it is kept, whatever that is, until somebody changes it
        lives = sorted(state.changed - state.rewritten - state.gone)
        db.update(LIVES, "id", [_life_of(state.now[id]) for id in lives])
        db.update(SESSIONS, "id", [row_of(state.now[id]) for id in sorted(state.rewritten - state.gone)])
        db.update(POINTERS, "id", [(family, state.pointers[family]) for family in sorted(state.pointed)])
        release_subscriptions(db, sorted(state.ended))
        db.delete(SESSIONS, "id", sorted(state.gone))


STORE = SessionStore()


@dataclass(frozen=True, slots=True, kw_only=True)
class CreateSession:
    """Add a session; the result is its record."""

    record: SessionRecord
    entry: Entry | None
    store: SessionStore = STORE

    @property
    def touched(self) -> tuple[str, ...]:
        return ()


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenSession:
    """The session that a token family uses, made from `record` when it has none that lives; the result is it."""

    family: str
    record: SessionRecord
    entry: Entry | None
    store: SessionStore = STORE

    @property
    def touched(self) -> tuple[str, ...]:
        return ()


@dataclass(frozen=True, slots=True, kw_only=True)
class MoveSession:
    """Move a session along the graph; the result is its record.

    `user_id` None: anybody's session. `user` is the name of its user, for the result. `is_activity` makes a move to
    active wake a session that is suspended for being idle, and nothing else. `cached` is the record of a session of the
    backend `cache`. The result is open if `key` opens it.
    """

    session: str
    to: State
    entry: Entry | None
    reason: Reason = Reason.NONE
    user_id: str | None = None
    user: str = ""
    is_activity: bool = False
    cached: SessionRecord | None = None
    key: DataKey | None = None
    store: SessionStore = STORE

    @property
    def touched(self) -> tuple[str, ...]:
        return (self.session,) if self.cached is None else ()


@dataclass(frozen=True, slots=True, kw_only=True)
class SweepSessions:
    """Move those of many sessions that can be moved there, and were not active after `idle_since`. The result counts.

    `why` says in the audit entry what upkeep this was.
    """

    sessions: Sequence[str]
    to: State
    why: str
    entry: Entry | None
    reason: Reason = Reason.NONE
    idle_since: datetime | None = None
    store: SessionStore = STORE

    @property
    def touched(self) -> tuple[str, ...]:
        return tuple(self.sessions)


@dataclass(frozen=True, slots=True, kw_only=True)
class UpdateSession:
    """Set what is given of a session's label and metadata; the result is its record, with the name of its `user`.

    `key` is the data key that it is to be encrypted by. Raises KeysMissing for want of a key, ContentDestroyed and
    ContentTampered.
    """

    session: str
    entry: Entry | None
    key: DataKey | None = None
    label: str | None = None
    metadata: Mapping[str, Any] | None = None
    user_id: str | None = None
    user: str = ""
    cached: SessionRecord | None = None
    store: SessionStore = STORE

    @property
    def touched(self) -> tuple[str, ...]:
        return (self.session,) if self.cached is None else ()


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordActivity:
    """When sessions were last active and how far in the log they are; older knowledge than what is kept is ignored."""

    seen: Mapping[str, tuple[datetime, int]]
    entry: Entry | None = None
    store: SessionStore = STORE

    @property
    def touched(self) -> tuple[str, ...]:
        return tuple(self.seen)


@dataclass(frozen=True, slots=True, kw_only=True)
class DestroySessions:
    """Destroy sessions that are terminating or dead; others stay. The result counts."""

    sessions: Sequence[str]
    entry: Entry | None = None
    store: SessionStore = STORE

    @property
    def touched(self) -> tuple[str, ...]:
        return tuple(self.sessions)


@dataclass(frozen=True, slots=True, kw_only=True)
class SealSessions:
    """Keep sessions under their data keys, None for in plain text; the result counts those that live.

    Raises KeysMissing for want of a key, and ContentTampered.
    """

    keys: Mapping[str, DataKey | None]
    entry: Entry | None = None
    store: SessionStore = STORE

    @property
    def touched(self) -> tuple[str, ...]:
        return tuple(self.keys)


SessionCommand = (
    CreateSession
    | OpenSession
    | MoveSession
    | SweepSessions
    | UpdateSession
    | RecordActivity
    | SealSessions
    | DestroySessions
)


@singledispatch
def decide(command: SessionCommand, state: SessionsOfBatch, at: datetime) -> Decision:
    """Decide one command, and remember the outcome in `state`.

    Raises SessionNotFound, IllegalTransition, Forbidden, TooManySessions.
    """
    raise TypeError(f"no decision for {type(command).__name__}")


@decide.register
def _create(command: CreateSession, state: SessionsOfBatch, at: datetime) -> Decision:
    state.prove(sealer_of(command.record))
    record = replace(command.record, state=step(command.record.state, State.ACTIVE))
    events = state.add(record, at)
    details = {"session": record.id, "backend": record.backend, **_ended(events)}
    return Decision(result=record, events=events, details=details)


@decide.register
def _open(command: OpenSession, state: SessionsOfBatch, at: datetime) -> Decision:
    present = state.now.get(state.pointers.get(command.family, ""))
    if present is not None and present.is_living:
        return Decision(result=present, details={"session": present.id, "opened": False})
    state.prove(sealer_of(command.record))
    record = replace(command.record, state=step(command.record.state, State.ACTIVE))
    events = state.add(record, at)
    if command.family in state.pointers:
        state.pointers[command.family] = record.id
        state.pointed.add(command.family)
    details = {"session": record.id, "opened": True, **_ended(events)}
    return Decision(result=record, events=events, details=details)


@decide.register
def _move(command: MoveSession, state: SessionsOfBatch, at: datetime) -> Decision:
    before = replace(state.living(command.session, command.user_id), user=command.user)
    if command.is_activity:
        if before.state is State.ACTIVE:
            return Decision(result=before)
        if before.reason is not Reason.IDLE:
            raise suspended(before)
    after, event = _moved(before, command.to, command.reason, at)
    state.put(after)
    return Decision(
        result=_shown(after, command.key),
        events=[event],
        details={"from": before.state, "to": after.state, "reason": after.reason},
    )


@decide.register
def _sweep(command: SweepSessions, state: SessionsOfBatch, at: datetime) -> Decision:
    events, swept = [], []
    for id in command.sessions:
        before = state.now.get(id)
        if before is None or command.to not in NEXT[before.state]:
            continue
        if command.idle_since is not None and before.last_active_at > command.idle_since:
            continue
        after, event = _moved(before, command.to, command.reason, at)
        state.put(after)
        events.append(event)
        swept.append(id)
    return Decision(
        result=len(swept),
        events=events,
        details={"to": command.to, "reason": command.reason, "why": command.why, "sessions": swept},
    )


@decide.register
def _update(command: UpdateSession, state: SessionsOfBatch, at: datetime) -> Decision:
    if command.key is not None:
        state.prove(command.key.id)
    before = opened(replace(state.living(command.session, command.user_id), user=command.user))
    changed = replace(
        before,
        label=before.label if command.label is None else command.label,
        metadata=before.metadata if command.metadata is None else dict(command.metadata),
    )
    after = sealed(changed, command.key)
    state.put(after, is_rewritten=True)
    return Decision(result=after)


@decide.register
def _record(command: RecordActivity, state: SessionsOfBatch, at: datetime) -> Decision:
    for id, (active_at, position) in command.seen.items():
        before = state.now.get(id)
        if before is not None and (active_at > before.last_active_at or position > before.position):
            state.put(
                replace(
                    before,
                    last_active_at=max(active_at, before.last_active_at),
                    position=max(position, before.position),
                )
            )
    return Decision()


@decide.register
def _seal(command: SealSessions, state: SessionsOfBatch, at: datetime) -> Decision:
    fresh = []
    for id, key in command.keys.items():
        before = state.now.get(id)
        if before is None or not before.is_living:
            continue
        if key is not None:
            state.prove(key.id)
        fresh.append(sealed(opened(before), key))
    for record in fresh:
        state.put(record, is_rewritten=True)
    return Decision(result=len(fresh))


@decide.register
def _destroy(command: DestroySessions, state: SessionsOfBatch, at: datetime) -> Decision:
    destroyed = []
    for id in command.sessions:
        before = state.now.get(id)
        if before is not None and State.GONE in NEXT[before.state]:
            del state.now[id]
            state.gone.add(id)
            destroyed.append(id)
    return Decision(result=len(destroyed), details={"sessions": destroyed})


def _ended(events: Sequence[ControlEvent]) -> Mapping[str, str]:
    """What an entry says of the session that ended for a new one."""
    return {"ended": events[0].subject} if events else {}


def _sealers(command: SessionCommand) -> Iterable[str]:
    """The ids of the data keys under which a command has something kept."""
    if isinstance(command, CreateSession | OpenSession):
        sealer = sealer_of(command.record)
        return (sealer,) if sealer else ()
    if isinstance(command, SealSessions):
        return {key.id for key in command.keys.values() if key is not None}
    if isinstance(command, UpdateSession) and command.key is not None:
        return (command.key.id,)
    return ()


def _shown(record: SessionRecord, key: DataKey | None) -> SessionRecord:
    """A session for whoever has moved it: what was done is done, whether or not the rest can be shown."""
    if key is None or not record.is_locked or sealer_of(record) != key.id:
        return record
    try:
        return opened_by(record, key)
    except ContentTampered:
        return record


def _moved(before: SessionRecord, to: State, reason: Reason, at: datetime) -> tuple[SessionRecord, ControlEvent]:
    after = replace(before, state=step(before.state, to), reason=reason)
    if after.state is State.ACTIVE:
        after.last_active_at = at
    event = ControlEvent(
        kind=KINDS[before.state, after.state],
        subject=after.id,
        data={"user": after.user_id, "state": after.state, "reason": after.reason, "backend": after.backend},
    )
    return after, event


def suspended(record: SessionRecord) -> Forbidden:
    """The refusal of a request in a session that is suspended by an admin."""
    return Forbidden("The session is suspended.", state=record.state.value, reason=record.reason.value)


def record_of(row: Row) -> SessionRecord:
    """A session out of its row."""
    id, user_id, family, state, reason, client_id, label, metadata, created_at, last_active_at, position, kept_of = row
    envelope = bytes(kept_of)
    record = SessionRecord(
        id=id,
        user_id=str(user_id),
        family=family,
        state=State(state),
        reason=Reason(reason),
        client_id=client_id,
        label=label,
        metadata=orjson.loads(metadata),
        created_at=created_at,
        last_active_at=last_active_at,
        position=position,
        sealed=envelope,
        is_locked=bool(envelope),
    )
    return as_kept(record)


def _life_of(record: SessionRecord) -> Row:
    return record.id, record.state.value, record.reason.value, record.last_active_at, record.position


def row_of(session: SessionRecord) -> Row:
    record = kept(session)
    return (
        *(record.id, int(record.user_id), record.family, record.state.value, record.reason.value),
        *(record.client_id, record.label, orjson.dumps(record.metadata).decode()),
        *(record.created_at, record.last_active_at, record.position, record.sealed),
    )
