"""What a checkpoint says, as JSON in JCS form, and how it is read back."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import orjson
from rfc8785 import CanonicalizationError

from audit_app.chain.canonical import ZEROS, canonical_bytes, digest

VERSION = 1


class Malformed(ValueError):
    """A text is not a checkpoint of ours."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Statement:
    """A checkpoint's statement on the entries from `first` to `last`.

    `root` is the root of the Merkle tree over their hashes (`merkle.py`), `head` the hash of the last of them, both in
    hex. `previous` is the SHA-256 of the payload of the checkpoint before it, zeros for the first. `key` is the id of
    the key that signs, `origin` says whose trail this is (ERLMCP_SOURCE), `at` is in ISO 8601.
    """

    version: int = VERSION
    origin: str
    number: int
    first: int
    last: int
    root: str
    head: str
    at: str
    previous: str
    key: str

    @property
    def payload(self) -> bytes:
        """What is signed."""
        return canonical_bytes(asdict(self))


@dataclass(frozen=True, slots=True)
class Signed:
    """A statement with its signature, in hex."""

    statement: Statement
    signature: str

    def as_json(self) -> Mapping[str, Any]:
        """As it stands in the second place, in entries, and in proofs."""
        return {"checkpoint": asdict(self.statement), "signature": self.signature}


@dataclass(frozen=True, slots=True)
class Anchor:
    """What the next checkpoint goes on from: number, last entry, its hash, and digest of the one before it."""

    number: int
    last: int
    head: str
    digest: str

    @classmethod
    def at(cls, statement: Statement) -> "Anchor":
        return cls(statement.number, statement.last, statement.head, digest(statement.payload))


START = Anchor(0, 0, ZEROS, ZEROS)
"""What the first checkpoint goes on from."""

_KINDS = Statement.__annotations__


def parse_payload(text: str | bytes) -> Statement:
    """The statement of a payload, which has to be in JCS form. Raises Malformed."""
    statement = _statement(_json(text))
    if statement.payload != (text if isinstance(text, bytes) else text.encode()):
        raise Malformed("it is not in canonical form")
    return statement


def parse_signed(text: str | bytes) -> Signed:
    """The signed statement of a line of the second place, or of a part of a proof. Raises Malformed."""
    return signed_of(_json(text))


def signed_of(value: Any) -> Signed:
    """A signed statement as `Signed.as_json` shows it. Raises Malformed."""
    if not isinstance(value, dict) or not isinstance(value.get("signature"), str):
        raise Malformed("it has no signature")
    return Signed(_statement(value.get("checkpoint")), value["signature"])


def _statement(value: Any) -> Statement:
    if not isinstance(value, dict) or value.keys() != _KINDS.keys():
        raise Malformed("its fields are not those of a checkpoint")
    if any(type(value[name]) is not kind for name, kind in _KINDS.items()):
        raise Malformed("a field has a value of another type")
    if value["version"] != VERSION:
        raise Malformed(f"it has version {value['version']}")
    statement = Statement(**value)
    if statement.number < 1 or not 0 < statement.first <= statement.last:
        raise Malformed("its numbers cannot be")
    try:
        statement.payload  # noqa: B018  # whether it has one
    except CanonicalizationError:
        raise Malformed("it has no canonical form") from None
    return statement


def _json(text: str | bytes) -> Any:
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError:
        raise Malformed("it is not JSON") from None
