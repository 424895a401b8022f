"""What upkeep does to many sessions at once."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from audit_app.commands import Decision
from audit_app.trail import Entry
from encryption_app.envelope import DataKey
from sessions_app.batches import SessionsOfBatch
from sessions_app.sealed import opened, sealed
from sessions_app.states import NEXT, Reason, State
from sessions_app.store import SessionCommand
from sessions_app.transitions import moved


@dataclass(frozen=True, slots=True, kw_only=True)
class SweepSessions(SessionCommand):
    """Move those of many sessions that can be moved there, and were not active after `idle_since`. The result counts.

    `why` says in the audit entry what upkeep this was.
    """

    sessions: Sequence[str]
    to: State
    why: str
    reason: Reason = Reason.NONE
    idle_since: datetime | None = None

    @property
    def touched(self) -> Iterable[str]:
        return self.sessions

    def apply(self, state: SessionsOfBatch, at: datetime) -> Decision:
        events, swept = [], []
        for id in self.sessions:
            before = state.now.get(id)
            if before is None or self.to not in NEXT[before.state]:
                continue
            if self.idle_since is not None and before.last_active_at > self.idle_since:
                continue
            after, event = moved(before, self.to, self.reason, at)
            state.put(after)
            events.append(event)
            swept.append(id)
        return Decision(
            result=len(swept),
            events=events,
            details={"to": self.to, "reason": self.reason, "why": self.why, "sessions": swept},
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordActivity(SessionCommand):
    """When sessions were last active and how far in the log they are; older knowledge than what is kept is ignored."""

    seen: Mapping[str, tuple[datetime, int]]
    entry: Entry | None = None

    @property
    def touched(self) -> Iterable[str]:
        return self.seen

    def apply(self, state: SessionsOfBatch, at: datetime) -> Decision:
        for id, (active_at, position) in self.seen.items():
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


@dataclass(frozen=True, slots=True, kw_only=True)
class DestroySessions(SessionCommand):
    """Destroy sessions that are terminating or dead; others stay. The result counts."""

    sessions: Sequence[str]
    entry: Entry | None = None

    @property
    def touched(self) -> Iterable[str]:
        return self.sessions

    def apply(self, state: SessionsOfBatch, at: datetime) -> Decision:
        destroyed = []
        for id in self.sessions:
            before = state.now.get(id)
            if before is not None and State.GONE in NEXT[before.state]:
                del state.now[id]
                state.gone.add(id)
                destroyed.append(id)
        return Decision(result=len(destroyed), details={"sessions": destroyed})


@dataclass(frozen=True, slots=True, kw_only=True)
class SealSessions(SessionCommand):
    """Keep sessions under their data keys, None for in plain text; the result counts those that live.

    Raises KeysMissing for want of a key, and ContentTampered.
    """

    keys: Mapping[str, DataKey | None]
    entry: Entry | None = None

    @property
    def touched(self) -> Iterable[str]:
        return self.keys

    @property
    def sealers(self) -> Iterable[str]:
        return {key.id for key in self.keys.values() if key is not None}

    def apply(self, state: SessionsOfBatch, at: datetime) -> Decision:
        fresh = []
        for id, key in self.keys.items():
            before = state.now.get(id)
            if before is None or not before.is_living:
                continue
            if key is not None:
                state.prove(key.id)
            fresh.append(sealed(opened(before), key))
        for record in fresh:
            state.put(record, is_rewritten=True)
        return Decision(result=len(fresh))
