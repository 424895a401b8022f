"""Signing keys as the writer keeps them: added, followed by the next one, dropped; every node is told."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from functools import singledispatch

import orjson
from cryptography.hazmat.primitives.asymmetric.rsa import generate_private_key
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from jwt.algorithms import RSAAlgorithm
from uuid_utils import uuid7

from audit_app.bulk import Bulk, Row, table_of
from audit_app.commands import Decision, Store
from audit_app.system import system_entry
from audit_app.trail import Entry
from resources_app.log.control import ControlEvent
from sessions_app.models import SigningKey
from sessions_app.sealing import seal

ALGORITHM = "RS256"
BITS = 2048
PURPOSE = "signing keys"
PUBLISH_SECONDS = 5.0
"""For how long a key that follows another one is only published: by then every node knows it (within a second or two),
and what is signed with it is nowhere unknown."""

KEYS = table_of(SigningKey, "kid", "number", "algorithm", "sealed", "jwk", "created_at")
NUMBERS = table_of(SigningKey, "kid", "number", "algorithm")
RETIRED = table_of(SigningKey, "kid", "retired_at")


@dataclass(slots=True)
class KeysOfBatch:
    """The numbers that are taken of those that the batch asks for, and the rows to write."""

    taken: set[int]
    fresh: list[Row] = field(default_factory=list)
    retired: list[Row] = field(default_factory=list)
    dropped: list[str] = field(default_factory=list)


class SigningKeyStore(Store):
    """One store for all signing keys."""

    def load(self, db: Bulk, commands: Sequence["KeyCommand"]) -> KeysOfBatch:
        numbers = {command.number for command in commands if isinstance(command, AddKey)}
        return KeysOfBatch({row[1] for row in db.select(NUMBERS, "number", numbers)})

    def decide(self, state: KeysOfBatch, command: "KeyCommand", at: datetime) -> Decision:
        return decide(command, state, at)

    def save(self, db: Bulk, state: KeysOfBatch) -> None:
        db.insert(KEYS, state.fresh)
        db.update(RETIRED, "kid", state.retired)
        db.delete(NUMBERS, "kid", state.dropped)


STORE = SigningKeyStore()


@dataclass(frozen=True, slots=True, kw_only=True)
class AddKey:
    """Add a signing key under a number, unless that number has one; the result says whether it was added.

    It takes over from the keys `following`, which are retired when it has been published long enough.
    """

    kid: str
    number: int
    sealed: bytes
    jwk: str
    entry: Entry | None
    following: Sequence[str] = ()
    store: SigningKeyStore = STORE


@dataclass(frozen=True, slots=True, kw_only=True)
class DropKeys:
    """Forget keys when all that they have signed has expired; the result counts."""

    kids: Sequence[str]
    entry: Entry | None
    store: SigningKeyStore = STORE


KeyCommand = AddKey | DropKeys


@singledispatch
def decide(command: KeyCommand, state: KeysOfBatch, at: datetime) -> Decision:
    """Decide one command, and remember the outcome in `state`."""
    raise TypeError(f"no decision for {type(command).__name__}")


@decide.register
def _add(command: AddKey, state: KeysOfBatch, at: datetime) -> Decision:
    if command.number in state.taken:
        return Decision(result=False, details={"kid": command.kid, "added": False})
    state.taken.add(command.number)
    state.fresh.append((command.kid, command.number, ALGORITHM, command.sealed, command.jwk, at))
    state.retired += [(kid, at + timedelta(seconds=PUBLISH_SECONDS)) for kid in command.following]
    # before the first key, no node holds any
    events = [ControlEvent(kind="key.added", subject=command.kid)] if command.following else []
    details = {"kid": command.kid, "added": True, "retired": list(command.following)}
    return Decision(result=True, events=events, details=details)


@decide.register
def _drop(command: DropKeys, state: KeysOfBatch, at: datetime) -> Decision:
    state.dropped += command.kids
    events = [ControlEvent(kind="key.dropped", subject=kid) for kid in command.kids]
    return Decision(result=len(command.kids), events=events, details={"dropped": list(command.kids)})


def next_key(number: int, entry: Entry, following: Sequence[str] = ()) -> AddKey:
    """The command that adds a fresh key, under this number; takes a part of a second. `entry` is given its id."""
    kid = str(uuid7())
    private = generate_private_key(public_exponent=65537, key_size=BITS)
    der = private.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())
    jwk = RSAAlgorithm.to_jwk(private.public_key(), as_dict=True) | {"kid": kid, "use": "sig", "alg": ALGORITHM}
    jwk.pop("key_ops", None)
    return AddKey(
        kid=kid,
        number=number,
        sealed=seal(der, PURPOSE, kid),
        jwk=orjson.dumps(jwk).decode(),
        following=following,
        entry=replace(entry, resource_id=kid),
    )


def key_entry() -> Entry:
    """The entry of what happens to a signing key without a user."""
    return system_entry("auth/keys", "key")
