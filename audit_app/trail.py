"""Audit entries: who did what to which thing, when, from where, and how it ended (seed §6.1, contract §8)."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import orjson
from uuid_utils import uuid7

from audit_app.errors import Refusal
from audit_app.once import Once
from audit_app.policy import Level, level_of
from audit_app.queues import Queue, queue_of
from audit_app.redaction import holds_secret, redacted, redacted_text

__all__ = ["Entry", "Queue", "outbox_row", "queue_of"]


MAX_CHARACTERS = 4096
"""What a client controls waits in the outbox up to here; the trail cuts it to its columns, and says so."""

SIGNED = frozenset({"audit/checkpoint", "audit/archive"})
"""Entries whose details are signed statements: nothing can be left out of them."""

CLIENT_TEXTS = ("user", "action", "resource_id", "user_agent", "session_id", "request_id")
"""The fields whose text clients choose."""


# not frozen, though nobody changes one: that would set each field by a call, 1.4 µs a request
@dataclass(slots=True, kw_only=True)
class Entry:
    """An entry as it is when the work begins; `outbox_row` adds how the work ended.

    `timestamp` is Unix time in seconds, `user_id` the user's primary key as a string and `user` the name, both empty
    for callers that are not known. With `once`, the work is done once, and its answer kept. `seal` makes of
    details and the id of the entry what is kept in their place. `client` is what a client of MCP calls itself, which
    proves nothing: it stands among the details.
    """

    timestamp: float
    action: str
    transport: str
    user_id: str = ""
    user: str = ""
    resource_type: str = ""
    resource_id: str = ""
    source_ip: str = ""
    user_agent: str = ""
    session_id: str = ""
    request_id: str = ""
    once: Once | None = None
    client: str = ""
    seal: Callable[[Mapping[str, Any], str], Mapping[str, Any]] | None = None


def outbox_row(entry: Entry, refusal: Refusal | None, details: Mapping[str, Any] | None) -> tuple[int, str] | None:
    """(queue, JSON of the entry), to be written in the transaction of the work itself; None where policy is `off`.

    What looks like a secret is left out of it (audit_app/redaction.py).
    """
    code = refusal.code if refusal else None
    level = level_of(entry.action, entry.resource_id, code)
    if level is Level.OFF:
        return None
    is_signed = entry.action in SIGNED
    if entry.client:
        details = {**(details or {}), "client": entry.client}
    id = str(uuid7())
    kept = details if is_signed else redacted(details) if details and level is Level.FULL else {}
    if kept and entry.seal is not None:
        kept = entry.seal(kept, id)
    record: dict[str, Any] = {
        "id": id,
        "timestamp": datetime.fromtimestamp(entry.timestamp, UTC),
        "user_id": entry.user_id,
        "user": entry.user,
        "action": entry.action[:MAX_CHARACTERS],
        "outcome": refusal.outcome if refusal else "success",
        "code": code,
        "resource_type": entry.resource_type,
        "resource_id": entry.resource_id[:MAX_CHARACTERS],
        "details": kept,
        "source_ip": entry.source_ip,
        "user_agent": entry.user_agent[:MAX_CHARACTERS],
        "session_id": entry.session_id,
        "request_id": entry.request_id[:MAX_CHARACTERS],
        "transport": entry.transport,
    }
    if not is_signed and holds_secret("\n".join([record[name] for name in CLIENT_TEXTS])):
        for name in CLIENT_TEXTS:
            record[name] = redacted_text(record[name])
    return queue_of(entry.action, code), orjson.dumps(record).decode()
