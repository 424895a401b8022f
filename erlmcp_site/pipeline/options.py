"""Options of a call: what a caller may say of any request, how long it may take, and to do it only once.

HTTP says it by headers, `Request-Timeout` and `Idempotency-Key`; where calls have no headers it stands among the
parameters, as `request_timeout` and `idempotency_key`.
"""

import re
from collections.abc import Mapping
from typing import Any

import orjson
from django.utils.crypto import salted_hmac

from audit_app.errors import InvalidParams
from erlmcp_site.pipeline.messages import Request

MAX_TIMEOUT_SECONDS = 600.0

SALT = "erlmcp idempotency"

NAMES = frozenset({"request_timeout", "idempotency_key"})

_KEY = re.compile(r"[!-~]{1,255}", re.ASCII)
_SECONDS = re.compile(r"[0-9]{1,6}(\.[0-9]{1,20})?", re.ASCII)


def timeout_of(request: Request) -> float | None:
    """For how many seconds the caller waits; None when it does not say. Raises InvalidParams."""
    given = _option(request, "request-timeout", "request_timeout")
    if given is None:
        return None
    is_number = isinstance(given, int | float) and not isinstance(given, bool)
    seconds = float(given) if is_number or (isinstance(given, str) and _SECONDS.fullmatch(given)) else 0.0
    if not 0 < seconds <= MAX_TIMEOUT_SECONDS:
        raise InvalidParams(f"Request-Timeout is a number of seconds, above 0 and up to {MAX_TIMEOUT_SECONDS:g}.")
    return seconds


def key_of(request: Request) -> str | None:
    """The idempotency key; None when there is none. Raises InvalidParams."""
    given = _option(request, "idempotency-key", "idempotency_key")
    if given is not None and not (isinstance(given, str) and _KEY.fullmatch(given)):
        raise InvalidParams("Idempotency-Key has 1 to 255 characters of visible ASCII.")
    return given


def names_key(request: Request) -> bool:
    """Whether there is an idempotency key, good or not."""
    return _option(request, "idempotency-key", "idempotency_key") is not None


def fingerprint(method: str, params: Mapping[str, Any]) -> str:
    """What tells one request from another: the method and its validated parameters, in whatever order they came.

    It is kept, and says nothing of content to whoever has the database: it takes SECRET_KEY to try guesses.
    """
    said = {name: value for name, value in params.items() if name not in NAMES}
    document = orjson.dumps([method, said], default=_plain, option=orjson.OPT_SORT_KEYS)
    return salted_hmac(SALT, document, algorithm="sha256").hexdigest()


def _option(request: Request, header: str, name: str) -> Any:
    given = request.metadata.get(header)
    if given is None and isinstance(request.params, dict):
        given = request.params.get(name)
    return given


def _plain(value: Any) -> Any:
    return sorted(value) if isinstance(value, (set, frozenset)) else str(value)
