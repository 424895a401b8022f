"""ArcSight Common Event Format, version 0 of its header (Micro Focus, "Implementing ArcSight CEF", chapters 1 and 2).

The header escapes backslash and pipe and cannot hold a line break; an extension escapes backslash, equals and line
breaks. Values are cut to the lengths that the dictionary gives its keys.
"""

import re
from collections.abc import Mapping
from ipaddress import ip_address
from typing import Any

import orjson

from audit_app.formats.record import PRODUCT, VERSION, is_address, milliseconds, plain

HEADER_CHARACTERS = 512
SEVERITIES = {"success": 3, "refused": 6, "error": 8}
LABELS = {
    "cs1": "sessionId",
    "cs2": "requestId",
    "cs3": "details",
    "cs4": "previousHash",
    "cs5": "hash",
    "cs6": "resourceType",
    "cn1": "sequence",
    "c6a2": "Source IPv6 Address",
}
LENGTHS = {
    "externalId": 40,
    "cat": 1023,
    "act": 63,
    "outcome": 63,
    "reason": 1023,
    "suid": 1023,
    "suser": 1023,
    "shost": 1023,
    "request": 1023,
    "requestClientApplication": 1023,
    "app": 31,
    "cs1": 4000,
    "cs2": 4000,
    "cs3": 4000,
    "cs4": 4000,
    "cs5": 4000,
    "cs6": 4000,
}

_CONTROLS = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029]")


def cef(record: Mapping[str, Any]) -> bytes:
    """An entry as one line of CEF. Control characters other than line breaks become pictures of themselves."""
    entry = plain(record)
    action = entry["action"]
    header = (PRODUCT, PRODUCT, VERSION, action, f"{action} {entry['outcome']}", str(SEVERITIES[entry["outcome"]]))
    values: dict[str, Any] = {
        "rt": milliseconds(entry),
        "externalId": entry["id"],
        "cn1": entry["sequence"],
        "cat": entry["queue"],
        "act": action,
        "outcome": entry["outcome"],
        "reason": entry.get("code"),
        "suid": entry["user_id"],
        "suser": entry["user"],
        _source_key(entry["source_ip"]): entry["source_ip"],
        "app": entry["transport"],
        "request": entry["resource_id"],
        "requestClientApplication": entry["user_agent"],
        "cs1": entry["session_id"],
        "cs2": entry["request_id"],
        "cs3": orjson.dumps(entry["details"]).decode(),
        "cs4": entry["prev_hash"],
        "cs5": entry["hash"],
        "cs6": entry["resource_type"],
    }
    extension = []
    for key, value in values.items():
        if value not in (None, ""):
            extension.append(f"{key}={_extension(_cut(str(value), LENGTHS.get(key)))}")
            if key in LABELS:
                extension.append(f"{key}Label={LABELS[key]}")
    return f"CEF:0|{'|'.join(map(_header, header))}|{' '.join(extension)}".encode()


def _source_key(address: str) -> str:
    if not is_address(address):
        return "shost"
    return "src" if ip_address(address).version == 4 else "c6a2"


def _cut(text: str, limit: int | None) -> str:
    return text if limit is None or len(text) <= limit else text[: limit - 1] + "…"


def _header(text: str) -> str:
    text = _cut(text, HEADER_CHARACTERS).replace("\\", "\\\\").replace("|", "\\|")
    return _CONTROLS.sub(_picture, text)


def _extension(text: str) -> str:
    text = text.replace("\\", "\\\\").replace("=", "\\=").replace("\r", "\\r").replace("\n", "\\n")
    return _CONTROLS.sub(_picture, text)


def _picture(match: re.Match[str]) -> str:
    """Unicode has a picture for each ASCII control character, and none for the others."""
    code = ord(match.group())
    if code < 0x20:
        return chr(0x2400 + code)
    return "\N{SYMBOL FOR DELETE}" if code == 0x7F else "\N{REPLACEMENT CHARACTER}"
