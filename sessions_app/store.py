"""Sessions as the writer keeps them: loaded for a batch, decided by their commands along the graph, saved."""

from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

from audit_app.bulk import Bulk
from audit_app.commands import Decision, Store
from audit_app.trail import Entry
from encryption_app.key_rows import destroyed
from resources_app.subscriptions import release_subscriptions
from sessions_app.batches import SessionsOfBatch
from sessions_app.records import SessionRecord
from sessions_app.room import room_for
from sessions_app.session_rows import LIVES, POINTERS, SESSIONS, life_of, record_of, row_of


class SessionStore(Store):
    """One store for the sessions of both backends; those of the backend `cache` come with their command."""

    def load(self, db: Bulk, commands: Sequence["SessionCommand"]) -> SessionsOfBatch:
        records = [command.new for command in commands if command.new is not None]
        wanted = Counter(record.user_id for record in records if record.backend == "database")
        # before any row, which others may hold that wait for the same owner
        db.lock_owners(SESSIONS, map(int, wanted))
        families = [family for command in commands for family in command.families]
        pointers = {row[0]: row[1] for row in db.select(POINTERS, "id", families, lock=True)}
        ids = {id for command in commands for id in command.touched} | {id for id in pointers.values() if id}
        state = SessionsOfBatch({row[0]: record_of(row) for row in db.select(SESSIONS, "id", ids, lock=True)}, pointers)
        for command in commands:
            if command.brought is not None:
                state.now[command.brought.id] = command.brought
        sealers = {sealer for command in commands for sealer in command.sealers}
        if sealers:
            state.destroyed = destroyed(db, sealers)
        state.rooms = room_for(wanted)
        unused = {id for room in state.rooms.values() for id in room.unused} - state.now.keys()
        state.now |= {row[0]: record_of(row) for row in db.select(SESSIONS, "id", unused, lock=True)} if unused else {}
        return state

    def decide(self, state: SessionsOfBatch, command: "SessionCommand", at: datetime) -> Decision:
        return command.apply(state, at)

    def save(self, db: Bulk, state: SessionsOfBatch) -> None:
        db.insert(SESSIONS, [row_of(state.now[id]) for id in sorted(state.fresh)])
        # what a session knows stays as it is kept, whatever that is, until somebody changes it
        lives = sorted(state.changed - state.rewritten - state.gone)
        db.update(LIVES, "id", [life_of(state.now[id]) for id in lives])
        db.update(SESSIONS, "id", [row_of(state.now[id]) for id in sorted(state.rewritten - state.gone)])
        db.update(POINTERS, "id", [(family, state.pointers[family]) for family in sorted(state.pointed)])
        release_subscriptions(db, sorted(state.ended))
        db.delete(SESSIONS, "id", sorted(state.gone))


STORE = SessionStore()


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionCommand(ABC):
    """A change of sessions, and what the store has to load for it."""

    entry: Entry | None
    store: SessionStore = STORE

    @property
    def new(self) -> SessionRecord | None:
        """The session that it may add."""
        return None

    @property
    def families(self) -> tuple[str, ...]:
        """The token families whose sessions it needs."""
        return ()

    @property
    def touched(self) -> Iterable[str]:
        """The ids of the sessions that it may change, of those in the database."""
        return ()

    @property
    def brought(self) -> SessionRecord | None:
        """The session of the backend `cache` that comes with it."""
        return None

    @property
    def sealers(self) -> Iterable[str]:
        """The ids of the data keys under which it has something kept."""
        return ()

    @abstractmethod
    def apply(self, state: SessionsOfBatch, at: datetime) -> Decision:
        """Decide it, purely, and remember the outcome in `state`.

        Raises SessionNotFound, IllegalTransition, Forbidden, TooManySessions, and KeysMissing for a data key that was
        destroyed.
        """
