"""A session as the pipeline holds it, and as the session cache keeps it (seed §4)."""

import base64
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from datetime import datetime
from typing import Any, Literal

from sessions_app.states import LIVING, Reason, State

Backend = Literal["database", "cache"]

CONTEXT = ("family", "client_id", "label", "metadata")
"""What is kept encrypted of sessions under a rule."""

NOTHING: Mapping[str, Any] = {"family": "", "client_id": "", "label": "", "metadata": {}}
"""What stands in its place."""


@dataclass(slots=True, kw_only=True)
class SessionRecord:
    """One session. `position` is the last log offset that it has written or been told.

    `user` is the name of its user, "" where only the id is known (in the writer, which has no use for it). `reason`
    says why it is suspended: "idle" (activity wakes it), "admin" (only an admin does), "" otherwise.
    `backend` is "database" or "cache"; `place` is which of its user's places for the latter it has. `id` is "" for a
    user of the Django admin, who has no session to keep.
    `sealed` is the envelope in which what CONTEXT names is kept, b"" where that is kept in plain text; as long as the
    session `is_locked`, those fields are empty (sessions_app/sealed.py).
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
    sealed: bytes = b""
    is_locked: bool = False

    @property
    def is_living(self) -> bool:
        return self.state in LIVING


PLAIN = tuple(field.name for field in fields(SessionRecord) if field.name not in {"sealed", "is_locked"})


def kept(record: SessionRecord) -> SessionRecord:
    """A session as it goes to a table or a cache: what is in its envelope is nowhere else."""
    if not record.sealed or record.is_locked:
        return record
    return replace(record, is_locked=True, **NOTHING)


def described(record: SessionRecord) -> dict[str, Any]:
    """A session as callers see it; of one that is locked, without what cannot be shown."""
    context = (
        {} if record.is_locked else {"client_id": record.client_id, "label": record.label, "metadata": record.metadata}
    )
    return {
        "id": record.id,
        "user": record.user,
        "state": record.state,
        "reason": record.reason,
        **context,
        "backend": record.backend,
        "created_at": record.created_at,
        "last_active_at": record.last_active_at,
        "offset": record.position,
    }


def loaded(said: dict[str, Any]) -> SessionRecord:
    """A record again, of what its JSON says."""
    moments = {name: datetime.fromisoformat(said[name]) for name in ("created_at", "last_active_at")}
    sealed = base64.b64decode(said.get("sealed", ""))
    envelope = {"sealed": sealed, "is_locked": bool(sealed)}
    states = {"state": State(said["state"]), "reason": Reason(said["reason"])}
    return SessionRecord(**said | moments | states | envelope)


def as_json(record: SessionRecord) -> dict[str, Any]:
    """What the JSON of a record says, where it is kept."""
    as_kept = kept(record)
    said = {name: getattr(as_kept, name) for name in PLAIN}
    return said | {"sealed": base64.b64encode(record.sealed).decode()} if record.sealed else said
