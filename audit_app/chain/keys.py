"""The keys that sign checkpoints: Ed25519 (RFC 8032). The private one stays behind `Signer`.

What signs now is a key in a local file; a key in a vault or a hardware module would be another `Signer`.
"""

import os
import re
import tempfile
from collections.abc import Mapping
from hashlib import sha256
from pathlib import Path
from typing import Protocol

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
    load_pem_public_key,
)
from django.core.exceptions import ImproperlyConfigured

PublicKeys = Mapping[str, Ed25519PublicKey]
"""Public keys by their ids."""

ONE_KEY = re.compile(rb"-----BEGIN PUBLIC KEY-----.*?-----END PUBLIC KEY-----", re.DOTALL)


class Signer(Protocol):
    """Whoever signs checkpoints."""

    @property
    def id(self) -> str:
        """The id of the public key, see `key_id`."""

    @property
    def public_key(self) -> str:
        """The public key in PEM."""

    def sign(self, payload: bytes) -> str:
        """The signature in hex."""


class LocalSigner:
    """Signs with a private key that this process holds."""

    def __init__(self, key: Ed25519PrivateKey) -> None:
        self._key = key
        self.id = key_id(key.public_key())
        self.public_key = pem_of(key.public_key())

    def sign(self, payload: bytes) -> str:
        return self._key.sign(payload).hex()


def local_signer(path: Path) -> LocalSigner:
    """The signer whose key lies in a file (PEM, PKCS 8); made, readable only by the owner, when there is none yet.

    Of several processes that make one at the same time, one wins. Raises ImproperlyConfigured when the file holds
    something else, and OSError when it cannot be read or made.
    """
    try:
        text = path.read_bytes()
    except FileNotFoundError:
        _make(path)
        text = path.read_bytes()
    try:
        key = load_pem_private_key(text, None)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        key = None
    if not isinstance(key, Ed25519PrivateKey):
        raise ImproperlyConfigured(f"{path} holds no Ed25519 private key in PEM without a password.")
    return LocalSigner(key)


def parse_public_keys(text: bytes) -> PublicKeys:
    """The Ed25519 public keys of a text that holds any number of them in PEM. Raises ValueError for anything else."""
    keys: dict[str, Ed25519PublicKey] = {}
    for found in ONE_KEY.findall(text):
        try:
            key = load_pem_public_key(found)
        except UnsupportedAlgorithm:
            raise ValueError("a public key is not an Ed25519 key") from None
        if not isinstance(key, Ed25519PublicKey):
            raise ValueError("a public key is not an Ed25519 key")
        keys[key_id(key)] = key
    if not keys:
        raise ValueError("there is no public key in PEM")
    return keys


def key_id(key: Ed25519PublicKey) -> str:
    """The first 32 hex digits of the SHA-256 of the 32 bytes of a public key: nobody can choose another's id."""
    return sha256(key.public_bytes_raw()).hexdigest()[:32]


def pem_of(key: Ed25519PublicKey) -> str:
    return key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()


def is_signed(payload: bytes, signature: str, key: Ed25519PublicKey) -> bool:
    """Whether the key's owner has signed the payload; `signature` is in hex."""
    try:
        key.verify(bytes.fromhex(signature), payload)
    except (InvalidSignature, ValueError, TypeError):
        return False
    return True


def _make(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    # only the owner can read what mkstemp makes
    descriptor, fresh = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    with os.fdopen(descriptor, "wb") as file:
        key = Ed25519PrivateKey.generate()
        file.write(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
        file.flush()
        os.fsync(file.fileno())
    try:
        os.link(fresh, path)
    except FileExistsError:
        pass
    finally:
        Path(fresh).unlink()
