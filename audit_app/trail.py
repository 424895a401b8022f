"""Audit entries: who did what to which thing, when, from where, and how it ended (seed §6.1, contract §8)."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import IntEnum
from typing import Any

import orjson
from uuid_utils import uuid7

from audit_app.errors import Refusal
from audit_app.once import Once


class Queue(IntEnum):
    """The three queues of seed §6.2."""

    SECURITY = 1
    DATA = 2
    SYSTEM = 3


MAX_CHARACTERS = 4096
"""What a client controls waits in the outbox up to here; the trail cuts it to its columns, and says so."""

SECURITY_FAMILIES = frozenset({"auth", "access", "sessions", "audit"})
DATA_FAMILIES = frozenset({"resources", "subscriptions", "events"})
SECURITY_CODES = frozenset({"unauthenticated", "refresh_reused", "forbidden", "rate_limited"})


def queue_of(action: str, code: str | None) -> Queue:
    """The queue of an entry: security by family of methods or by refusal, data, or system."""
    family = action.partition("/")[0]
    if code in SECURITY_CODES or family in SECURITY_FAMILIES:
        return Queue.SECURITY
    return Queue.DATA if family in DATA_FAMILIES else Queue.SYSTEM


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """An entry as it is when the work begins; `outbox_row` adds how the work ended.

    `timestamp` is Unix time in seconds, `user_id` the user's primary key as a string and `user` the name, both empty
    for callers that are not known. With `once`, the work is done once, and its answer kept.
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


def outbox_row(entry: Entry, refusal: Refusal | None, details: Mapping[str, Any] | None) -> tuple[int, str]:
    """(queue, JSON of the entry), to be written in the transaction of the work itself."""
    code = refusal.code if refusal else None
    record = {
        "id": str(uuid7()),
        "timestamp": datetime.fromtimestamp(entry.timestamp, UTC),
        "user_id": entry.user_id,
        "user": entry.user,
        "action": entry.action[:MAX_CHARACTERS],
        "outcome": refusal.outcome if refusal else "success",
        "code": code,
        "resource_type": entry.resource_type,
        "resource_id": entry.resource_id[:MAX_CHARACTERS],
        "details": details or {},
        "source_ip": entry.source_ip,
        "user_agent": entry.user_agent[:MAX_CHARACTERS],
        "session_id": entry.session_id,
        "request_id": entry.request_id[:MAX_CHARACTERS],
        "transport": entry.transport,
    }
    return queue_of(entry.action, code), orjson.dumps(record).decode()
