"""The provider `local`: key-encryption keys in a keyring file, which belongs to the owner alone."""

import base64
import fcntl
import json
import os
import stat
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Self

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from django.conf import settings
from uuid_utils import uuid7

from encryption_app.envelope import KEY_BYTES, NONCE_BYTES, Tampered
from encryption_app.errors import BadProvider, KeyUnknown
from encryption_app.providers.interface import Provider

OWNER_ONLY = 0o600
FORMAT = 1


class Local(Provider):
    """Keys in a JSON file: {"format": 1, "keys": {id: base64 of 32 bytes}}.

    Where there is none, it is made with the first key. It is read again when it has changed, so a key that was made by
    another process, or brought by an operator, is found. Raises BadProvider for a file that others may read, or that is
    no keyring.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = threading.Lock()
        self._keys: dict[str, bytes] = {}
        self._seen: tuple[int, int, int] | None = None
        self._read()

    @classmethod
    def by_settings(cls) -> Self:
        return cls(settings.ENCRYPTION_KEYRING)

    def first(self) -> str:
        with self._lock:
            self._read()
            brought = next(iter(self._keys), None)
        return self.create() if brought is None else brought

    def create(self) -> str:
        id = str(uuid7())
        with self._changing() as keys:
            keys[id] = os.urandom(KEY_BYTES)
        return id

    def wrap(self, key_id: str, key: bytes, context: str) -> bytes:
        nonce = os.urandom(NONCE_BYTES)
        return nonce + AESGCM(self._key(key_id)).encrypt(nonce, key, context.encode())

    def unwrap(self, key_id: str, wrapped: bytes, context: str) -> bytes:
        try:
            return AESGCM(self._key(key_id)).decrypt(wrapped[:NONCE_BYTES], wrapped[NONCE_BYTES:], context.encode())
        except (InvalidTag, ValueError):
            raise Tampered() from None

    def destroy(self, key_id: str) -> None:
        with self._changing() as keys:
            keys.pop(key_id, None)

    def _key(self, key_id: str) -> bytes:
        with self._lock:
            self._read()
            try:
                return self._keys[key_id]
            except KeyError:
                raise KeyUnknown(f"the keyring {self._path} has no key {key_id}") from None

    def _read(self) -> None:
        try:
            self._look()
        except OSError as error:
            raise BadProvider(f"the keyring {self._path} cannot be read: {error.strerror}") from error

    def _look(self) -> None:
        try:
            found = self._path.stat()
        except FileNotFoundError:
            self._keys, self._seen = {}, None
            return
        if stat.S_IMODE(found.st_mode) & 0o077:
            raise BadProvider(f"the keyring {self._path} may be read by others; chmod 600 it")
        state = (found.st_ino, found.st_mtime_ns, found.st_size)
        if state != self._seen:
            self._keys, self._seen = _parsed(self._path), state

    @contextmanager
    def _changing(self) -> Iterator[dict[str, bytes]]:
        """The keys, to be changed by one process at a time; what was changed is there whole, or not at all."""
        self._path.parent.mkdir(parents=True, exist_ok=True)
        lock = os.open(self._path.with_name(f".{self._path.name}.lock"), os.O_WRONLY | os.O_CREAT, OWNER_ONLY)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX)
            with self._lock:
                self._read()
                keys = dict(self._keys)
                yield keys
                self._write(keys)
                self._read()
        finally:
            os.close(lock)

    def _write(self, keys: dict[str, bytes]) -> None:
        fresh = self._path.with_name(f".{self._path.name}.{os.getpid()}")
        descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, OWNER_ONLY)
        with os.fdopen(descriptor, "w") as file:
            texts = {id: base64.b64encode(key).decode() for id, key in keys.items()}
            json.dump({"format": FORMAT, "keys": texts}, file)
            file.flush()
            os.fsync(file.fileno())
        fresh.replace(self._path)
        folder = os.open(self._path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)


def _parsed(path: Path) -> dict[str, bytes]:
    try:
        document = json.loads(path.read_text())
        if document["format"] != FORMAT:
            raise ValueError
        keys = {str(id): base64.b64decode(text, validate=True) for id, text in document["keys"].items()}
        if any(len(key) != KEY_BYTES for key in keys.values()):
            raise ValueError
    except (ValueError, KeyError, TypeError, AttributeError):
        raise BadProvider(f'{path} is no keyring: {{"format": 1, "keys": {{id: 32 bytes in base64}}}}') from None
    return keys
