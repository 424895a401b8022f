"""Comma-separated values (RFC 4180) that a spreadsheet shows, and never runs."""

import csv
import io
import re
from collections.abc import Mapping
from typing import Any

import orjson

from audit_app.formats.record import plain

COLUMNS = (
    *("sequence", "timestamp", "queue", "user", "user_id", "action", "outcome", "code", "resource_type", "resource_id"),
    *("details", "source_ip", "user_agent", "session_id", "request_id", "transport", "id", "prev_hash", "hash"),
)

# what begins a formula, in full width too (OWASP, "CSV Injection")
_FORMULA = re.compile("[=+\\-@\t\r\n＝＋－＠]")
_CONTROLS = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029]")
_PICTURES = 0x2400


def csv_row(record: Mapping[str, Any]) -> bytes:
    """An entry as one line of CSV.

    A cell that would begin a formula has an apostrophe before it. Control characters become pictures of themselves, so
    an entry is one line.
    """
    entry = plain(record) | {"details": orjson.dumps(plain(record)["details"]).decode()}
    return _row([_cell(entry.get(name)) for name in COLUMNS])


def csv_head() -> bytes:
    """The line that names the columns."""
    return _row(COLUMNS)


def _row(cells: Any) -> bytes:
    text = io.StringIO()
    csv.writer(text, lineterminator="").writerow(cells)
    return text.getvalue().encode()


def _cell(value: Any) -> str:
    text = "" if value is None else str(value)
    shown = _CONTROLS.sub(_picture, text)
    return f"'{shown}" if _FORMULA.match(text) else shown


def _picture(match: re.Match[str]) -> str:
    code = ord(match.group())
    return chr(_PICTURES + code) if code < 0x20 else "\N{SYMBOL FOR DELETE}"
