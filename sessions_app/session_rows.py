"""Sessions as their table keeps them."""

import orjson

from audit_app.bulk import Row, table_of
from sessions_app.models import Session, TokenFamily
from sessions_app.records import SessionRecord, kept
from sessions_app.sealed import as_kept
from sessions_app.states import Reason, State

SESSIONS = table_of(
    Session,
    *("id", "user", "family", "state", "reason", "client_id", "label", "metadata"),
    *("created_at", "last_active_at", "position", "sealed"),
)
LIVES = table_of(Session, "id", "state", "reason", "last_active_at", "position")
"""What changes of a session while it lives, besides what it knows."""

POINTERS = table_of(TokenFamily, "id", "session_id")
"""Which session each token family uses."""


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


def life_of(record: SessionRecord) -> Row:
    """The row of LIVES for a session."""
    return record.id, record.state.value, record.reason.value, record.last_active_at, record.position


def row_of(session: SessionRecord) -> Row:
    """The row of SESSIONS for a session."""
    record = kept(session)
    return (
        *(record.id, int(record.user_id), record.family, record.state.value, record.reason.value),
        *(record.client_id, record.label, orjson.dumps(record.metadata).decode()),
        *(record.created_at, record.last_active_at, record.position, record.sealed),
    )
