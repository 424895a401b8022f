"""Proofs that one entry is in the trail that was signed: checked with nothing but the proof and the public key.

A proof holds the entry's record, the hashes that lead from it to the root of the Merkle tree (RFC 6962), and the
checkpoint with its signature, which states that root.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import orjson
from rfc8785 import CanonicalizationError

from audit_app.chain.canonical import record_hash
from audit_app.chain.checkpoints import leaf_of, leaves
from audit_app.chain.keys import PublicKeys, is_signed
from audit_app.chain.merkle import root_by_path, root_of, siblings
from audit_app.chain.statements import Malformed, Signed, Statement, parse_payload, signed_of
from audit_app.models import AuditEntry, Checkpoint
from audit_app.queries import entry_json

VERSION = 1


class NotProvable(Exception):
    """There is no proof of this entry."""


class NotProven(Exception):
    """A proof does not prove anything."""


@dataclass(frozen=True, slots=True)
class Proven:
    """An entry's record, and the statement that it is proven by."""

    record: Mapping[str, Any]
    statement: Statement


def prove(id: str) -> Mapping[str, Any]:
    """The proof of the entry with this id, as JSON. Raises NotProvable, and django.db.DatabaseError."""
    entry = AuditEntry.objects.filter(id=id).first()
    if entry is None:
        raise NotProvable(f"The trail has no entry {id}.")
    checkpoint = Checkpoint.objects.filter(first__lte=entry.sequence, last__gte=entry.sequence).first()
    if checkpoint is None:
        raise NotProvable("No checkpoint covers the entry yet; `audit checkpoint` makes one.")
    try:
        signed = Signed(parse_payload(checkpoint.payload), checkpoint.signature)
    except Malformed as error:
        raise NotProvable(f"Checkpoint {checkpoint.number} was changed: {error}.") from None
    first, size = signed.statement.first, _size(signed.statement)
    index = entry.sequence - first
    path = [root_of(leaves(first + place.start, first + place.stop - 1)) for place in siblings(index, size)]
    if root_by_path(leaf_of(entry.hash), index, size, path) != bytes.fromhex(signed.statement.root):
        raise NotProvable(f"The entries are not those that checkpoint {checkpoint.number} signed; see `audit verify`.")
    record = orjson.loads(orjson.dumps(entry_json(entry), option=orjson.OPT_UTC_Z))
    return {"version": VERSION, "entry": record, "path": [node.hex() for node in path], **signed.as_json()}


def check_proof(text: str | bytes, keys: PublicKeys) -> Proven:
    """What a proof proves, if one of the keys has signed its checkpoint. Asks no database. Raises NotProven."""
    try:
        proof = orjson.loads(text)
        record, path, signed = proof["entry"], [bytes.fromhex(node) for node in proof["path"]], signed_of(proof)
        hash, sequence, root = record_hash(record), record["sequence"], bytes.fromhex(signed.statement.root)
        is_ours = proof["version"] == VERSION and type(sequence) is int
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError, CanonicalizationError) as error:
        raise NotProven(f"This is not a proof: {error}.") from None
    if not is_ours:
        raise NotProven("This is not a proof of a kind that is known.")
    statement = signed.statement
    key = keys.get(statement.key)
    if key is None:
        raise NotProven(f"The checkpoint is signed by the key {statement.key}, which is not the one given.")
    if not is_signed(statement.payload, signed.signature, key):
        raise NotProven("The signature of the checkpoint was not made by the key.")
    if record.get("hash") != hash:
        raise NotProven("The entry is not what its hash says.")
    if root_by_path(bytes.fromhex(hash), sequence - statement.first, _size(statement), path) != root:
        raise NotProven("The entry is not among those that the checkpoint signed.")
    return Proven(record, statement)


def _size(statement: Statement) -> int:
    return statement.last - statement.first + 1
