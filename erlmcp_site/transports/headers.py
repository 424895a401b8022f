"""What a caller says beside a request: headers of HTTP, metadata of gRPC."""

import re

from uuid_utils import uuid7

SECRET_HEADERS = frozenset({"authorization", "cookie", "proxy-authorization"})
"""They are not among the metadata of a Request."""

_SANE_ID = re.compile(r"[A-Za-z0-9._~:/+=@-]{1,128}", re.ASCII)


def request_id(told: str | None) -> str:
    """The id that a client gives its request, if that is a sane one; else a new one."""
    return told if told is not None and _SANE_ID.fullmatch(told) else str(uuid7())


def bearer(authorization: str) -> str | None:
    """The token in the value of an Authorization header."""
    scheme, _, token = authorization.partition(" ")
    return token.strip() or None if scheme.lower() == "bearer" else None
