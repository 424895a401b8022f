"""What is asked of one session: to begin, to move along the graph, to know something else."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from audit_app.commands import Decision
from encryption_app.envelope import DataKey
from encryption_app.errors import ContentTampered
from resources_app.log.control import ControlEvent
from sessions_app.batches import SessionsOfBatch
from sessions_app.errors import Forbidden
from sessions_app.records import SessionRecord
from sessions_app.sealed import opened, opened_by, sealed, sealer_of
from sessions_app.states import Reason, State, step
from sessions_app.store import SessionCommand
from sessions_app.transitions import UPDATED, moved, told


@dataclass(frozen=True, slots=True, kw_only=True)
class OfNewSession(SessionCommand):
    """What a command says that may add a session."""

    record: SessionRecord

    @property
    def new(self) -> SessionRecord:
        return self.record

    @property
    def sealers(self) -> Iterable[str]:
        sealer = sealer_of(self.record)
        return (sealer,) if sealer else ()


@dataclass(frozen=True, slots=True, kw_only=True)
class CreateSession(OfNewSession):
    """Add a session; the result is its record. It is active, unless its client has yet to say that `is_ready`."""

    is_ready: bool = True

    def apply(self, state: SessionsOfBatch, at: datetime) -> Decision:
        state.prove(sealer_of(self.record))
        record = replace(self.record, state=step(self.record.state, State.ACTIVE)) if self.is_ready else self.record
        events = state.add(record, at)
        details = {"session": record.id, "backend": record.backend, **_ended(events)}
        return Decision(result=record, events=events, details=details)


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenSession(OfNewSession):
    """The session that a token family uses, made from `record` when it has none that lives; the result is it."""

    family: str

    @property
    def families(self) -> tuple[str, ...]:
        return (self.family,)

    def apply(self, state: SessionsOfBatch, at: datetime) -> Decision:
        present = state.now.get(state.pointers.get(self.family, ""))
        if present is not None and present.is_living:
            return Decision(result=present, details={"session": present.id, "opened": False})
        state.prove(sealer_of(self.record))
        record = replace(self.record, state=step(self.record.state, State.ACTIVE))
        events = state.add(record, at)
        if self.family in state.pointers:
            state.pointers[self.family] = record.id
            state.pointed.add(self.family)
        details = {"session": record.id, "opened": True, **_ended(events)}
        return Decision(result=record, events=events, details=details)


@dataclass(frozen=True, slots=True, kw_only=True)
class OfOneSession(SessionCommand):
    """What a command says that changes one session.

    `user_id` None: anybody's session. `user` is the name of its user, for the result. `cached` is the record of a
    session of the backend `cache`.
    """

    session: str
    user_id: str | None = None
    user: str = ""
    cached: SessionRecord | None = None

    @property
    def touched(self) -> tuple[str, ...]:
        return (self.session,) if self.cached is None else ()

    @property
    def brought(self) -> SessionRecord | None:
        return self.cached


@dataclass(frozen=True, slots=True, kw_only=True)
class MoveSession(OfOneSession):
    """Move a session along the graph; the result is its record.

    `is_activity` makes a move to active wake a session that is suspended for being idle, and nothing else. The result
    is open if `key` opens it.
    """

    to: State
    reason: Reason = Reason.NONE
    is_activity: bool = False
    key: DataKey | None = None

    def apply(self, state: SessionsOfBatch, at: datetime) -> Decision:
        before = replace(state.living(self.session, self.user_id), user=self.user)
        if self.is_activity:
            if before.state is State.ACTIVE:
                return Decision(result=before)
            if before.reason is not Reason.IDLE:
                raise suspended(before)
        after, event = moved(before, self.to, self.reason, at)
        state.put(after)
        return Decision(
            result=_shown(after, self.key),
            events=[event],
            details={"from": before.state, "to": after.state, "reason": after.reason},
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class UpdateSession(OfOneSession):
    """Set what is given of a session's label and metadata; the result is its record, with the name of its `user`.

    One that `is_ready` becomes active. `key` is the data key that it is to be encrypted by. Raises KeysMissing for want
    of a key, ContentDestroyed and ContentTampered.
    """

    key: DataKey | None = None
    label: str | None = None
    metadata: Mapping[str, Any] | None = None
    is_ready: bool = False

    @property
    def sealers(self) -> Iterable[str]:
        return () if self.key is None else (self.key.id,)

    def apply(self, state: SessionsOfBatch, at: datetime) -> Decision:
        if self.key is not None:
            state.prove(self.key.id)
        before = opened(replace(state.living(self.session, self.user_id), user=self.user))
        changed = replace(
            before,
            label=before.label if self.label is None else self.label,
            metadata=before.metadata if self.metadata is None else dict(self.metadata),
        )
        after, event = sealed(changed, self.key), None
        if self.is_ready and after.state is not State.ACTIVE:
            if after.reason is Reason.ADMIN:
                raise suspended(after)
            after, event = moved(after, State.ACTIVE, Reason.NONE, at)
        state.put(after, is_rewritten=True)
        return Decision(result=after, events=[event or told(UPDATED, after)])


def suspended(record: SessionRecord) -> Forbidden:
    """The refusal of a request in a session that is suspended by an admin."""
    return Forbidden("The session is suspended.", state=record.state.value, reason=record.reason.value)


def _ended(events: Sequence[ControlEvent]) -> Mapping[str, str]:
    """What an entry says of the session that ended for a new one."""
    return {"ended": events[0].subject} if events else {}


def _shown(record: SessionRecord, key: DataKey | None) -> SessionRecord:
    """A session for whoever has moved it: what was done is done, whether or not the rest can be shown."""
    if key is None or not record.is_locked or sealer_of(record) != key.id:
        return record
    try:
        return opened_by(record, key)
    except ContentTampered:
        return record
