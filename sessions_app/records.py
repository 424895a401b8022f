"""A session as the pipeline holds it, and as the session cache keeps it (seed §4)."""

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal

from sessions_app.states import LIVING, Reason, State

Backend = Literal["database", "cache"]


@dataclass(slots=True, kw_only=True)
class SessionRecord:
    """One session. `position` is the last log offset that it has written or been told.

    `user` is the name of its user, "" where only the id is known (in the writer, which has no use for it). `reason`
    says why it is suspended: "idle" (activity wakes it), "admin" (only an admin does), "" otherwise.
    `backend` is "database" or "cache"; `place` is which of its user's places for the latter it has. `id` is "" for a
    user of the Django admin, who has no session to keep.
    """

    id: str
    user_id: str
    user: str = ""
    family: str
    state: State
    backend: Backend = "database"
    place: int | None = None
    reason: Reason = Reason.NONE
    client_id: str = ""
    label: str = ""
    metadata: dict[str, Any] = field(default_factory=dict)
    created_at: datetime
    last_active_at: datetime
    position: int = 0

    @property
    def is_living(self) -> bool:
        return self.state in LIVING


def described(record: SessionRecord) -> dict[str, Any]:
    """A session as callers see it."""
    return {
        "id": record.id,
        "user": record.user,
        "state": record.state,
        "reason": record.reason,
        "client_id": record.client_id,
        "label": record.label,
        "metadata": record.metadata,
        "backend": record.backend,
        "created_at": record.created_at,
        "last_active_at": record.last_active_at,
        "offset": record.position,
    }


def loaded(fields: dict[str, Any]) -> SessionRecord:
    """A record again, of what its JSON says."""
    moments = {name: datetime.fromisoformat(fields[name]) for name in ("created_at", "last_active_at")}
    return SessionRecord(**fields | moments | {"state": State(fields["state"]), "reason": Reason(fields["reason"])})
