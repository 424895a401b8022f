"""Envelopes: content under AES-256-GCM, bound to what it is the content of. Pure.

    0xff · format (1) · id of the data key (16) · nonce (12) · ciphertext and tag (16)

What erlmcp keeps is UTF-8, in which no byte is 0xff, so the first one tells an envelope from everything else. The
associated data names purpose, subject and version beside the header: an envelope opens nowhere but where it was made.
Nonces are random, so a data key is good for 2^32 envelopes (NIST SP 800-38D §8.3).
"""

import os
from dataclasses import dataclass
from enum import Enum
from uuid import UUID

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

MARK = b"\xff"
FORMAT = 1
KEY_BYTES = 32
ID_BYTES = 16
NONCE_BYTES = 12
TAG_BYTES = 16
NONCE_AT = 2 + ID_BYTES
BODY_AT = NONCE_AT + NONCE_BYTES
OVERHEAD_BYTES = BODY_AT + TAG_BYTES


class Purpose(Enum):
    """What an envelope is for; one of another purpose does not open."""

    CONTENT = b"content"
    ANSWER = b"answer"
    DETAILS = b"details"
    SESSION = b"session"


class Tampered(Exception):
    """The envelope is damaged, or not the one that belongs here."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where an envelope belongs: what it is for, whose it is (such as a URI), and at which version."""

    purpose: Purpose
    subject: str
    version: int = 0


class DataKey:
    """A data key as it is used; `id` is a UUID in its 32 hexadecimal digits."""

    __slots__ = ("_cipher", "_header", "id")

    def __init__(self, id: str, key: bytes) -> None:
        self.id = id
        self._header = MARK + bytes([FORMAT]) + bytes.fromhex(id)
        self._cipher = AESGCM(key)

    def seal(self, content: bytes, place: Place) -> bytes:
        """The content in an envelope for a place."""
        nonce = os.urandom(NONCE_BYTES)
        return self._header + nonce + self._cipher.encrypt(nonce, content, _associated(self._header, place))

    def open(self, envelope: bytes, place: Place) -> bytes:
        """The content of an envelope. Raises Tampered unless it is whole and was made by this key for this place."""
        if not envelope.startswith(self._header):
            raise Tampered()
        try:
            return self._cipher.decrypt(
                envelope[NONCE_AT:BODY_AT], envelope[BODY_AT:], _associated(self._header, place)
            )
        except (InvalidTag, ValueError):
            raise Tampered() from None


def is_sealed(kept: bytes) -> bool:
    """Whether something that is kept is an envelope."""
    return kept[:1] == MARK


def key_of(kept: bytes) -> str:
    """The id of the data key of an envelope, "" for what is none. Raises Tampered for an envelope without a header."""
    if kept[:1] != MARK:
        return ""
    if len(kept) < OVERHEAD_BYTES or kept[1] != FORMAT:
        raise Tampered()
    return UUID(bytes=kept[2:NONCE_AT]).hex


def _associated(header: bytes, place: Place) -> bytes:
    # every part but the last has one length, or an end that it cannot contain
    return b"%b%b\0%d\0%b" % (header, place.purpose.value, place.version, place.subject.encode())
