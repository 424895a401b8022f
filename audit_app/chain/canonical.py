"""The bytes of a record that its hash is made of: RFC 8785 (JCS), so that anybody can make them again.

An entry's record is what `audit_app/queries.py: entry_json` shows of it, without `hash`. Its fields are known, so they
stand here in the order that JCS asks for, and orjson, which escapes strings as JCS does, writes them. `details`, which
may hold anything, are made canonical once, by the mover, and are kept and hashed byte for byte from then on.
"""

from collections.abc import Mapping
from datetime import datetime
from hashlib import sha256
from typing import Any

import orjson
import rfc8785

from audit_app.trail import Queue

FIELDS = (
    "id",
    "timestamp",
    "queue",
    "details",
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
"""What an entry has beside its place in the chain, in the order in which `hash_of` takes it."""

ZEROS = "0" * 64
"""The `prev_hash` of the first entry, and `previous` of the first checkpoint."""

LARGEST = 2**53 - 1
"""Beyond it JCS, whose numbers are those of JavaScript, does not tell one whole number from the next."""

QUEUES = {queue.value: queue.name.lower() for queue in Queue}

Fields = tuple[str, datetime | str, int, str, str, str, str, str, str, str, str, str, str, str, str, str]


def hash_of(fields: Fields, sequence: int, prev_hash: str) -> str:
    """The hash of an entry with these FIELDS at a place of the chain: SHA-256 in lower-case hex.

    `timestamp` is aware and in UTC, or the text that the API makes of it, which ends in Z; `details` is JSON text.
    Raises TypeError for values that JSON does not know.
    """
    return sha256(record_bytes(fields, sequence, prev_hash)).hexdigest()


def record_bytes(fields: Fields, sequence: int, prev_hash: str) -> bytes:
    """The JCS form of the record of an entry, without its hash; see `hash_of`."""
    # one call and no loop: the mover and the verification do this for every entry
    (
        id,
        timestamp,
        queue,
        details,
        user_id,
        user,
        action,
        outcome,
        code,
        resource_type,
        resource_id,
        source_ip,
        user_agent,
        session_id,
        request_id,
        transport,
    ) = fields
    record: dict[str, Any] = {"action": action}
    if code:
        record["code"] = code
    record |= {
        "details": orjson.Fragment(details),
        "id": id,
        "outcome": outcome,
        "prev_hash": prev_hash,
        "queue": QUEUES.get(queue, queue),
        "request_id": request_id,
        "resource_id": resource_id,
        "resource_type": resource_type,
        "sequence": sequence,
        "session_id": session_id,
        "source_ip": source_ip,
        "timestamp": timestamp,
        "transport": transport,
        "user": user,
        "user_agent": user_agent,
        "user_id": user_id,
    }
    return orjson.dumps(record, option=orjson.OPT_UTC_Z)


def details_text(details: Any) -> str:
    """The JCS form of an entry's details, which are parsed JSON.

    A number that JCS would write as a whole number beyond 2^53 - 1 becomes a string of its digits (RFC 8785, appendix
    D): there, readers of JSON do not agree what it is.
    """
    if _is_plain(details):
        return orjson.dumps(details, option=orjson.OPT_SORT_KEYS).decode()
    return canonical_bytes(_tamed(details)).decode()


def canonical_bytes(value: Any) -> bytes:
    """The JCS form of parsed JSON. Raises rfc8785.CanonicalizationError for whole numbers beyond 2^53 - 1."""
    return rfc8785.dumps(value)


def digest(payload: bytes) -> str:
    """SHA-256 in lower-case hex."""
    return sha256(payload).hexdigest()


def _is_plain(value: Any) -> bool:
    """Whether orjson writes the value as JCS does: no floats, no large numbers, keys in ASCII."""
    kind = type(value)
    if kind is str or kind is bool or value is None:
        return True
    if kind is int:
        return bool(-LARGEST <= value <= LARGEST)
    if kind is dict:
        return all(key.isascii() and _is_plain(item) for key, item in value.items())
    return kind is list and all(_is_plain(item) for item in value)


def _tamed(value: Any) -> Any:
    """The value with large whole numbers as strings."""
    match value:
        case dict():
            return {key: _tamed(item) for key, item in value.items()}
        case list():
            return [_tamed(item) for item in value]
        case bool():
            return value
        case int() if not -LARGEST <= value <= LARGEST:
            return str(value)
        case float() if abs(value) > LARGEST:
            text = canonical_bytes(value).decode()
            return value if "e" in text else text
        case _:
            return value


def record_hash(record: Mapping[str, Any]) -> str:
    """The hash that an entry's record should bear, read from JSON: by nothing but JCS and SHA-256.

    Raises rfc8785.CanonicalizationError when it holds what JCS does not know.
    """
    return digest(canonical_bytes({name: value for name, value in record.items() if name != "hash"}))
