"""Sealing secrets of the database under SECRET_KEY: HKDF-SHA256, then AES-256-GCM."""

import os

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from django.conf import settings
from django.core.exceptions import ImproperlyConfigured

NONCE_BYTES = 12


def seal(secret: bytes, purpose: str, name: str) -> bytes:
    """The secret, readable only with this SECRET_KEY, for this purpose and under this name."""
    nonce = os.urandom(NONCE_BYTES)
    return nonce + AESGCM(_key(purpose)).encrypt(nonce, secret, name.encode())


def unseal(sealed: bytes, purpose: str, name: str) -> bytes:
    """What was sealed. Raises ImproperlyConfigured when it was sealed under another SECRET_KEY, or tampered with."""
    try:
        return AESGCM(_key(purpose)).decrypt(sealed[:NONCE_BYTES], sealed[NONCE_BYTES:], name.encode())
    except (InvalidTag, ValueError):
        raise ImproperlyConfigured(
            f"SECRET_KEY does not open {name}: it is not the one that this database was set up with."
        ) from None


def _key(purpose: str) -> bytes:
    return HKDF(SHA256(), 32, None, f"erlmcp {purpose}".encode()).derive(settings.SECRET_KEY.encode())
