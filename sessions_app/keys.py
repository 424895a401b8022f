"""Signing keys: made once for all nodes, followed by others, held in memory by their id.

Keys overlap: the next one is published before anything is signed with it, and the last one verifies until everything
that it has signed has expired.
"""

import asyncio
import logging
import math
import threading
import time
from datetime import datetime
from typing import Any

import orjson
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, RSAPublicKey
from cryptography.hazmat.primitives.serialization import load_der_private_key
from django.core.exceptions import ImproperlyConfigured
from django.utils.timezone import now
from jwt.algorithms import RSAAlgorithm

from audit_app.database import in_database
from audit_app.deadlines import without_deadline
from audit_app.recovery import log_failure
from audit_app.trail import Entry
from audit_app.writer import writer
from sessions_app.key_store import PURPOSE, key_entry, next_key
from sessions_app.models import SigningKey
from sessions_app.sealing import unseal

RELOAD_SECONDS = 1.0

log = logging.getLogger(__name__)


def ensure_signing_key() -> str:
    """The id of the key that signs, made when there is none yet; of several nodes that start at once, one makes it.

    Reads and writes the database, so not for the event loop. Raises ImproperlyConfigured when SECRET_KEY does not open
    it.
    """
    current, last = _current_keys()
    if not current:
        writer.run(next_key(last + 1, key_entry()))
        current, _ = _current_keys()
    if not current:
        raise ImproperlyConfigured("All signing keys are retired.")
    unseal(bytes(current[0].sealed), PURPOSE, current[0].kid)
    return current[0].kid


def rotate_signing_key(entry: Entry) -> str | None:
    """Have a new key take over, a few seconds from now. Returns its id; None when another rotation came first.

    Raises ImproperlyConfigured when this SECRET_KEY is not that of the nodes, which could not open the new key.
    """
    ensure_signing_key()
    current, last = _current_keys()
    command = next_key(last + 1, entry, [key.kid for key in current if key.retired_at is None])
    return command.kid if writer.run(command) else None


def jwks() -> dict[str, Any]:
    """The public keys as a JSON Web Key Set (RFC 7517). Reads the database."""
    return {
        "keys": [orjson.loads(text) for text in SigningKey.objects.order_by("number").values_list("jwk", flat=True)]
    }


class KeyRing:
    """The keys as this process holds them. `public` never blocks; the others may read the database."""

    def __init__(self) -> None:
        self._looking = threading.Lock()
        self._reloading: asyncio.Task[None] | None = None
        self.forget()

    def forget(self) -> None:
        """Drop all keys, to be read again when they are needed."""
        self._public: dict[str, RSAPublicKey] = {}
        self._signing: list[tuple[float, str, RSAPrivateKey]] = []
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
                self._load()

    def signing(self) -> tuple[str, RSAPrivateKey]:
        """(id, private key) to sign with now; the first use makes the key when there is none."""
        found = self._first()
        if found is None:
            ensure_signing_key()
            self.load()
            found = self._first()
        assert found is not None
        return found

    def load(self) -> None:
        """Read all keys. Raises ImproperlyConfigured when SECRET_KEY does not open one that may sign."""
        with self._looking:
            self._load()

    def _load(self) -> None:
        rows = list(SigningKey.objects.order_by("number"))
        signing = [(_end(row.retired_at), row.kid, _private_key(row)) for row in rows if _signs(row, now())]
        self._public = {row.kid: _public_key(row.jwk) for row in rows}
        self._signing = signing
        self._loaded_at = time.monotonic()

    def reload(self) -> None:
        """Read the keys anew, from the event loop; those that are held serve until that is done."""
        self._reloading = asyncio.get_running_loop().create_task(self._load_soon(), context=without_deadline())

    async def _load_soon(self) -> None:
        try:
            await in_database(self.load)
        except Exception as error:
            log_failure(log, error, "the signing keys could not be read; trying again when one is needed")
            self.forget()

    def _first(self) -> tuple[str, RSAPrivateKey] | None:
        at = time.time()
        return next(((kid, key) for end, kid, key in self._signing if end > at), None)


ring = KeyRing()


def _current_keys() -> tuple[list[SigningKey], int]:
    """The keys that are not retired, the one that signs first, and the last number that was given.

    One query tells both: after two, a key that another node adds in between would get a successor at once.
    """
    rows = list(SigningKey.objects.order_by("number"))
    return [row for row in rows if _signs(row, now())], rows[-1].number if rows else 0


def _signs(row: SigningKey, at: datetime) -> bool:
    return row.retired_at is None or row.retired_at > at


def _end(retired_at: datetime | None) -> float:
    return math.inf if retired_at is None else retired_at.timestamp()


def _public_key(jwk: str) -> RSAPublicKey:
    key = RSAAlgorithm.from_jwk(jwk)
    assert isinstance(key, RSAPublicKey)
    return key


def _private_key(row: SigningKey) -> RSAPrivateKey:
    # what a node has made and sealed is a key: to prove that its primes are some takes 40 ms
    key = load_der_private_key(unseal(bytes(row.sealed), PURPOSE, row.kid), None, unsafe_skip_rsa_key_validation=True)
    assert isinstance(key, RSAPrivateKey)
    return key
