"""Signing keys: made once for all nodes, kept sealed in the database, held in memory by their id."""

import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import orjson
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, RSAPublicKey, generate_private_key
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_der_private_key,
)
from django.core.exceptions import ImproperlyConfigured
from jwt.algorithms import RSAAlgorithm
from uuid_utils import uuid7

from audit_app.bulk import Bulk, Row, table_of
from audit_app.commands import Decision, Store
from audit_app.trail import Entry
from audit_app.writer import writer
from sessions_app.models import SigningKey
from sessions_app.sealing import seal, unseal

ALGORITHM = "RS256"
BITS = 2048
PURPOSE = "signing keys"
RELOAD_SECONDS = 1.0

KEYS = table_of(SigningKey, "kid", "number", "algorithm", "sealed", "jwk", "created_at")
NUMBERS = table_of(SigningKey, "kid", "number", "algorithm")


@dataclass(slots=True)
class KeysOfBatch:
    """The keys with the number that the batch asks for, and the rows to add."""

    taken: set[int]
    fresh: list[Row] = field(default_factory=list)


class KeyStore(Store):
    """Signing keys as the writer keeps them."""

    def load(self, db: Bulk, commands: Sequence["AddKey"]) -> KeysOfBatch:
        return KeysOfBatch({row[1] for row in db.select(NUMBERS, "number", {command.number for command in commands})})

    def decide(self, state: KeysOfBatch, command: "AddKey", at: datetime) -> Decision:
        if command.number in state.taken:
            return Decision(result=False, details={"kid": command.kid, "added": False})
        state.taken.add(command.number)
        state.fresh.append((command.kid, command.number, ALGORITHM, command.sealed, command.jwk, at))
        return Decision(result=True, details={"kid": command.kid, "added": True})

    def save(self, db: Bulk, state: KeysOfBatch) -> None:
        db.insert(KEYS, state.fresh)


STORE = KeyStore()


@dataclass(frozen=True, slots=True, kw_only=True)
class AddKey:
    """Add a signing key under a number, unless that number has one; the result says whether it was added."""

    kid: str
    number: int
    sealed: bytes
    jwk: str
    entry: Entry | None
    store: KeyStore = STORE


def ensure_signing_key() -> str:
    """The id of the key that signs, made when there is none yet; of several nodes that start at once, one makes it.

    Reads and writes the database, so not for the event loop. Raises ImproperlyConfigured when SECRET_KEY does not open
    it.
    """
    key, last = _signing_row()
    if key is None:
        writer.run(_fresh_key(last + 1))
        key, _ = _signing_row()
    if key is None:
        raise ImproperlyConfigured("All signing keys are retired.")
    unseal(bytes(key.sealed), PURPOSE, key.kid)
    return key.kid


def jwks() -> dict[str, Any]:
    """The public keys as a JSON Web Key Set (RFC 7517). Reads the database."""
    return {
        "keys": [orjson.loads(text) for text in SigningKey.objects.order_by("number").values_list("jwk", flat=True)]
    }


class KeyRing:
    """The keys as this process holds them. `public` never blocks; the others may read the database."""

    def __init__(self) -> None:
        self._looking = threading.Lock()
        self.forget()

    def forget(self) -> None:
        """Drop all keys, to be read again when they are needed."""
        self._public: dict[str, RSAPublicKey] = {}
        self._signing: tuple[str, RSAPrivateKey] | None = None
        self._loaded_at = float("-inf")

    def public(self, kid: str) -> RSAPublicKey | None:
        """The key that verifies what `kid` has signed, if this process knows it."""
        return self._public.get(kid)

    def look_for(self, kid: str) -> None:
        """Read the keys when `kid` is not among them, at most once a second: made-up ids must not buy a query each.

        Threads that look at the same time wait for the one that reads.
        """
        with self._looking:
            if kid not in self._public and time.monotonic() - self._loaded_at >= RELOAD_SECONDS:
                self.load()

    def signing(self) -> tuple[str, RSAPrivateKey]:
        """(id, private key) to sign with; the first use makes the key when there is none."""
        if self._signing is None:
            ensure_signing_key()
            self.load()
        assert self._signing is not None
        return self._signing

    def load(self) -> None:
        """Read all keys. Raises ImproperlyConfigured when SECRET_KEY does not open the one that signs."""
        rows = list(SigningKey.objects.order_by("number"))
        self._public = {row.kid: _public_key(row.jwk) for row in rows}
        current = [row for row in rows if row.retired_at is None]
        self._signing = (current[-1].kid, _private_key(current[-1])) if current else None
        self._loaded_at = time.monotonic()


ring = KeyRing()


def _signing_row() -> tuple[SigningKey | None, int]:
    """The key that signs, and the last number that was given.

    One query tells both: after two, a key that another node adds in between would get a successor at once.
    """
    rows = list(SigningKey.objects.order_by("number"))
    current = [row for row in rows if row.retired_at is None]
    return current[-1] if current else None, rows[-1].number if rows else 0


def _fresh_key(number: int) -> AddKey:
    kid = str(uuid7())
    private = generate_private_key(public_exponent=65537, key_size=BITS)
    der = private.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())
    jwk = RSAAlgorithm.to_jwk(private.public_key(), as_dict=True) | {"kid": kid, "use": "sig", "alg": ALGORITHM}
    jwk.pop("key_ops", None)
    entry = Entry(timestamp=time.time(), action="auth/keys", transport="system", resource_type="key", resource_id=kid)
    return AddKey(kid=kid, number=number, sealed=seal(der, PURPOSE, kid), jwk=orjson.dumps(jwk).decode(), entry=entry)


def _public_key(jwk: str) -> RSAPublicKey:
    key = RSAAlgorithm.from_jwk(jwk)
    assert isinstance(key, RSAPublicKey)
    return key


def _private_key(row: SigningKey) -> RSAPrivateKey:
    key = load_der_private_key(unseal(bytes(row.sealed), PURPOSE, row.kid), None)
    assert isinstance(key, RSAPrivateKey)
    return key
