"""From the JSON that waits in the outbox to a row of the trail, whatever a client put into it (seed §6.2)."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, cast

import orjson
from django.db.models import CharField

from audit_app.chain.canonical import FIELDS, Fields, details_text
from audit_app.models import AuditEntry

TEXTS = FIELDS[FIELDS.index("user_id") :]


def _length(name: str) -> int:
    """The room of a column, taken in bytes: an index entry of PostgreSQL has room for 2,704 of them."""
    field = AuditEntry._meta.get_field(name)
    if not isinstance(field, CharField) or field.max_length is None:
        raise TypeError(f"{name} has no length")
    return field.max_length


LENGTHS = {name: _length(name) for name in TEXTS}


def trail_fields(queue: int, text: str) -> Fields:
    """What the trail keeps of an entry, in the order of FIELDS; its place in the chain comes with the mover.

    Texts are cut to their columns' lengths, and NUL, which PostgreSQL cannot hold, becomes U+FFFD.
    """
    record: Mapping[str, Any] = orjson.loads(text)
    fields = (
        record["id"],
        datetime.fromisoformat(record["timestamp"]).astimezone(UTC),
        queue,
        details_text(record["details"]),
        *[clean(record[name] or "", limit) for name, limit in LENGTHS.items()],
    )
    return cast(Fields, fields)


def clean(text: str, limit: int) -> str:
    """The text without NUL, cut to at most `limit` bytes of UTF-8; a cut text ends in an ellipsis."""
    if "\0" in text:
        text = text.replace("\0", "\N{REPLACEMENT CHARACTER}")
    if len(text) * 4 <= limit or len(encoded := text.encode()) <= limit:
        return text
    return encoded[: limit - len("…".encode())].decode(errors="ignore") + "…"
