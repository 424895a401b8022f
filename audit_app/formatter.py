"""From the JSON that waits in the outbox to a row of the trail, whatever a client put into it (seed §6.2)."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

import orjson
from django.db.models import CharField

from audit_app.bulk import Row
from audit_app.models import AuditEntry

TEXTS = (
    "user_id",
    "user",
    "action",
    "outcome",
    "code",
    "resource_type",
    "resource_id",
    "source_ip",
    "user_agent",
    "session_id",
    "request_id",
    "transport",
)
COLUMNS = ("id", "timestamp", "queue", "details", *TEXTS, "sequence")


def _length(name: str) -> int:
    """The room of a column, taken in bytes: an index entry of PostgreSQL has room for 2,704 of them."""
    field = AuditEntry._meta.get_field(name)
    if not isinstance(field, CharField) or field.max_length is None:
        raise TypeError(f"{name} has no length")
    return field.max_length


LENGTHS = {name: _length(name) for name in TEXTS}


def trail_row(queue: int, text: str) -> Row:
    """The row of an entry, in the order of COLUMNS but without the sequence number, which comes last.

    Texts are cut to their columns' lengths, and NUL, which PostgreSQL cannot hold, becomes U+FFFD.
    """
    record: Mapping[str, Any] = orjson.loads(text)
    return (
        record["id"],
        datetime.fromisoformat(record["timestamp"]),
        queue,
        orjson.dumps(record["details"]).decode(),
        *[clean(record[name] or "", limit) for name, limit in LENGTHS.items()],
    )


def clean(text: str, limit: int) -> str:
    """The text without NUL, cut to at most `limit` bytes of UTF-8; a cut text ends in an ellipsis."""
    if "\0" in text:
        text = text.replace("\0", "\N{REPLACEMENT CHARACTER}")
    if len(text) * 4 <= limit or len(encoded := text.encode()) <= limit:
        return text
    return encoded[: limit - len("…".encode())].decode(errors="ignore") + "…"
