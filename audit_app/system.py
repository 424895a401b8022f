"""Entries of what the system does by itself, on behalf of nobody."""

import time
from typing import Any

from uuid_utils import uuid7

from audit_app.commands import Record
from audit_app.trail import Entry
from audit_app.writer import writer


def system_entry(action: str, resource_type: str = "node", resource_id: str = "") -> Entry:
    """An entry of transport `system`, made now."""
    return Entry(
        timestamp=time.time(),
        action=action,
        transport="system",
        resource_type=resource_type,
        resource_id=resource_id,
        request_id=str(uuid7()),
    )


def leave(action: str, **details: Any) -> None:
    """Leave an entry of what this node does; nobody waits for it."""
    writer.note(Record(entry=system_entry(action), details=details))
