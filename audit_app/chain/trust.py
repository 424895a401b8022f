"""Which public keys are believed when checkpoints are verified, and where they were found."""

from collections.abc import Mapping

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from audit_app.chain.keys import PublicKeys, Signer, is_signed, parse_public_keys
from audit_app.chain.second_place import SecondPlace
from audit_app.models import CheckpointKey


class Keyring:
    """The keys that an operator has pinned and no others; with none pinned, those of this machine and the database.

    A key that only the audit database knows proves nothing against whoever can write there, so `sources` says, for
    each key that was used, where it comes from: "pinned", "file" or "database".
    """

    def __init__(self, second: SecondPlace, pinned: PublicKeys | None = None) -> None:
        self._pinned = pinned
        kept = second.keys()
        self._kept = parse_public_keys(kept) if kept else {}
        self._sources: dict[str, str] = {}

    @property
    def sources(self) -> Mapping[str, str]:
        return self._sources

    def fault(self, id: str, payload: bytes, signature: str) -> str | None:
        """What is wrong with a signature, in hex, that the key with this id is said to have made, if anything."""
        key = self._find(id)
        if key is None:
            return f"is signed by the key {id}, which is not known"
        if not is_signed(payload, signature, key):
            return "has a signature that its key did not make"
        return None

    def _find(self, id: str) -> Ed25519PublicKey | None:
        if self._pinned is not None:
            return self._from("pinned", id, self._pinned)
        return self._from("file", id, self._kept) or self._from("database", id, _stored(id))

    def _from(self, source: str, id: str, keys: PublicKeys) -> Ed25519PublicKey | None:
        key = keys.get(id)
        if key is not None:
            self._sources[id] = source
        return key


def make_known(signer: Signer) -> None:
    """Keep the public key of whoever is about to sign in the audit database, for the nodes that do not have it."""
    key = CheckpointKey(id=signer.id, public_key=signer.public_key)
    CheckpointKey.objects.bulk_create([key], ignore_conflicts=True)


def _stored(id: str) -> PublicKeys:
    row = CheckpointKey.objects.filter(id=id).first()
    try:
        return parse_public_keys(row.public_key.encode()) if row else {}
    except ValueError:
        return {}
