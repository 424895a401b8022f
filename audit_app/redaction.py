"""Secrets are left out before anything is stored or logged (quality 20).

By name: the value of a field of `details` whose name the setting AUDIT_REDACT has. By look: what has the shape of a
token or of "password=…" in any text, and what the patterns of AUDIT_REDACT match. A secret that has neither a telling
name nor a telling shape cannot be known: docs/audit-entries.md says what follows from that.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from django.conf import settings

REDACTED = "[redacted]"

DEFAULT = (
    "*password*,*passwd*,*passphrase*,*secret*,*token*,token_*,refresh,access,*authorization*,*api_key*,apikey,"
    "*private_key*,*signing_key*,*credential*,cookie,cookies,set_cookie,session_cookie,idempotency_key,jwt,bearer"
)
"""Names of fields; the value of AUDIT_REDACT unless it is set."""

SHAPES = (
    # a JSON Web Token: two base64url JSON objects and a signature; from where its run of letters begins, and never
    # looked at from a second place: callers choose these texts, and the writer's thread has to read them
    r"(?<![A-Za-z0-9_-])(?>[A-Za-z0-9_-]*?eyJ)[A-Za-z0-9_-]{4,}+(?:\.[A-Za-z0-9_-]*){1,4}",
    # an API key
    r"erlk_[A-Za-z0-9_-]{8,}+",
    r"(?:bearer|basic)(?: |%20|\+)+[A-Za-z0-9._~+/=-]{8,}",
    # what stands behind such a name, in a query, a header or a sentence
    r"(?<![A-Za-z0-9])(?:password|passwd|secret|token|api[_-]?key|authorization)(?:\\?[\"']|%22)?"
    r"(?: |%20)*(?:[=:]|%3[AD])(?: |%20)*(?:\\?[\"']|%22)?[^\s\"',;&]{3,}",
    r"-----BEGIN[^-]{0,80}PRIVATE[^-]{0,80}KEY-----[^-]*(?:-----END[^-]{0,160}KEY-----)?",
    # who logs in to a database or a proxy, in its URL; URIs of resources have no user-info
    r"(?<=://)[^\s/:@]{0,64}:[^\s/@]{1,256}@",
    r"erlmcp_(?:admin|csrf)=[^\s;,]+",
)

CLUES = ("eyj", "erlk_", "bearer", "basic", "passw", "secret", "token", "key", "authorization", "@", "erlmcp_")
"""A text in lower case without any of these has none of the shapes; looking for them costs a tenth of matching."""

KNOWN_NAMES = 4096
MAX_DEPTH = 100


@dataclass(frozen=True, slots=True, eq=False)
class Redaction:
    """What is left out: fields by name, and what patterns match in texts; `text` is what it was read from."""

    text: str
    names: re.Pattern[str]
    shapes: re.Pattern[str]
    has_own_patterns: bool


def parse_redaction(text: str) -> Redaction:
    """From names (a `*` stands for anything) and patterns (`/regular expression/`), separated by commas.

    Raises ValueError for a pattern that is none.
    """
    parts = [part.strip() for part in text.split(",") if part.strip()]
    own = [part[1:-1] for part in parts if len(part) > 2 and part[0] == part[-1] == "/"]
    names = [_plain(part) for part in parts if part[0] != "/"]
    try:
        shapes = re.compile("|".join(f"(?:{shape})" for shape in (*SHAPES, *own)), re.IGNORECASE)
    except re.error:
        raise ValueError(text) from None
    if len(own) + len(names) != len(parts) or shapes.match(""):
        raise ValueError(text)
    wild = "|".join(".*".join(re.escape(piece) for piece in name.split("*")) for name in names)
    return Redaction(text, re.compile(wild or r"(?!)"), shapes, bool(own))


def redacted(value: Any) -> Any:
    """A JSON value without the fields that are secret by name; texts are left to `redacted_text`."""
    return _redacted(value, settings.AUDIT_REDACT, 0)


def _redacted(value: Any, redaction: Redaction, depth: int) -> Any:
    if value is None or isinstance(value, int | float):
        return value
    if isinstance(value, str):
        return _without_shapes(value, redaction)
    if depth > MAX_DEPTH:
        return REDACTED
    if isinstance(value, Mapping):
        return {
            _without_shapes(str(name), redaction): (
                REDACTED
                if _is_secret(redaction, str(name)) and not isinstance(item, bool | None)
                else _redacted(item, redaction, depth + 1)
            )
            for name, item in value.items()
        }
    if isinstance(value, Sequence) and not isinstance(value, bytes):
        return [_redacted(item, redaction, depth + 1) for item in value]
    return value


def redacted_texts(value: Any) -> Any:
    """A JSON value without what looks like a secret in its texts, whatever its fields are called."""
    if isinstance(value, str):
        return redacted_text(value)
    if isinstance(value, Mapping):
        return {redacted_text(str(name)): redacted_texts(item) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [redacted_texts(item) for item in value]
    return value


def holds_secret(text: str) -> bool:
    """Whether a text has something in it that `redacted_text` would leave out."""
    redaction: Redaction = settings.AUDIT_REDACT
    return _may_hold(text, redaction) and redaction.shapes.search(text) is not None


def redacted_text(text: str) -> str:
    """The text without what looks like a secret."""
    return _without_shapes(text, settings.AUDIT_REDACT)


def _without_shapes(text: str, redaction: Redaction) -> str:
    return redaction.shapes.sub(REDACTED, text) if _may_hold(text, redaction) else text


def _may_hold(text: str, redaction: Redaction) -> bool:
    if redaction.has_own_patterns:
        return True
    lower = text.lower()
    return any(clue in lower for clue in CLUES)


@lru_cache(KNOWN_NAMES)
def _is_secret(redaction: Redaction, name: str) -> bool:
    return redaction.names.fullmatch(_plain(name)) is not None


def _plain(name: str) -> str:
    """A name as it is compared: `API-Key` and `api key` are `api_key`."""
    return name.strip().lower().replace("-", "_").replace(" ", "_")
