"""What the formats have in common: the record of an entry as plain JSON values, and JSON that stays on its line."""

import re
from collections.abc import Mapping
from datetime import datetime
from ipaddress import ip_address
from typing import Any

import orjson

PRODUCT = "erlmcp"
VERSION = "0.1.0"

# JSON must escape only what is below U+0020; these break lines or command terminals all the same
_UNSAFE = re.compile("[\x7f-\x9f\u2028\u2029]")


def plain(record: Mapping[str, Any]) -> dict[str, Any]:
    """A record as `entry_json` shows it, with nothing in it but JSON values: its time as text, its details parsed."""
    values: dict[str, Any] = orjson.loads(orjson.dumps(record, option=orjson.OPT_UTC_Z))
    return values


def line(value: Any) -> bytes:
    """A value as JSON on one line, without any control character."""
    text = orjson.dumps(value, option=orjson.OPT_UTC_Z).decode()
    # between values JSON may have line breaks, and details are kept byte for byte
    text = text.replace("\n", " ").replace("\r", " ").replace("\t", " ")
    return _UNSAFE.sub(_escaped, text).encode()


def milliseconds(record: Mapping[str, Any]) -> int:
    """When it happened, in milliseconds of Unix time."""
    return round(datetime.fromisoformat(record["timestamp"]).timestamp() * 1000)


def is_address(text: str) -> bool:
    """Whether a text is an IP address, and not what a proxy has made of one."""
    try:
        ip_address(text)
    except ValueError:
        return False
    return True


def filled(fields: Mapping[str, Any]) -> dict[str, Any]:
    """The fields that say something."""
    return {name: value for name, value in fields.items() if value not in (None, "", {}, [])}


def _escaped(match: re.Match[str]) -> str:
    return f"\\u{ord(match.group()):04x}"
