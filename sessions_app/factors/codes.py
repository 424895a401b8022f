"""Codes of a second factor: those that a device shows for a moment (TOTP, RFC 6238), and those that are kept on paper.

A secret has 160 bits, a recovery code 120: enough for a plain hash, as nobody guesses one.
"""

import base64
import secrets
import time
from hashlib import sha256
from hmac import compare_digest

import pyotp

STEP_SECONDS = 30
DIGITS = 6
STEPS_AROUND = 1
"""So many steps before and after the present one count, too: clocks differ, and typing takes a moment."""

RECOVERY_CODES = 10
RECOVERY_BYTES = 15
GROUP = 6


def new_secret() -> str:
    """A TOTP secret in base32."""
    return pyotp.random_base32()


def address_of(secret: str, username: str, issuer: str) -> str:
    """The address (otpauth://…) that an authenticator takes a secret from."""
    return _totp(secret).provisioning_uri(name=username, issuer_name=issuer)


def step_of(secret: str, code: str, at: float | None = None) -> int | None:
    """The time step that a code belongs to, of those around a moment (Unix time, now unless it is given); or None."""
    totp, code = _totp(secret), "".join(code.split())
    if not code.isascii():
        return None
    present = int(time.time() if at is None else at) // STEP_SECONDS
    steps = range(present - STEPS_AROUND, present + STEPS_AROUND + 1)
    return next((step for step in steps if compare_digest(totp.generate_otp(step), code)), None)


def code_at(secret: str, at: float) -> str:
    """The code that a device shows at a moment (Unix time)."""
    return _totp(secret).at(int(at))


def new_recovery_codes() -> list[str]:
    """Codes to be written down, each good for one login."""
    return [_grouped(secrets.token_bytes(RECOVERY_BYTES)) for _ in range(RECOVERY_CODES)]


def digest_of(code: str) -> str:
    """What is kept of a recovery code; blanks, hyphens and capitals make no difference."""
    return sha256("".join(code.split()).replace("-", "").lower().encode(errors="replace")).hexdigest()


def _grouped(random: bytes) -> str:
    text = base64.b32encode(random).decode().lower()
    return "-".join(text[start : start + GROUP] for start in range(0, len(text), GROUP))


def _totp(secret: str) -> pyotp.TOTP:
    return pyotp.TOTP(secret, digits=DIGITS, interval=STEP_SECONDS)
