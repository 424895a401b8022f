"""JSON Lines: the record as the API shows it, so that its hash can be checked with nothing but the line."""

from collections.abc import Mapping
from typing import Any

from audit_app.formats.record import line


def jsonl(record: Mapping[str, Any]) -> bytes:
    """An entry as one line of JSON."""
    return line(record)
