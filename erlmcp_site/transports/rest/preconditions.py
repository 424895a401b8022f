"""Conditional requests on versions: ETag, If-Match, If-None-Match (RFC 9110 §13, contract §3)."""

import re

from audit_app.errors import InvalidParams
from erlmcp_site.transports.http.incoming import Incoming

_TAG = re.compile(r'(W/)?"([\x21\x23-\x7e]*)"')
_VERSION = re.compile(r"[0-9]{1,18}", re.ASCII)


def etag(version: int) -> str:
    """The entity tag of a version."""
    return f'"{version}"'


def has_version(incoming: Incoming, version: int) -> bool:
    """Whether If-None-Match names the version, by weak comparison, so that the client needs no other copy."""
    value = incoming.headers.get("if-none-match")
    if value is None:
        return False
    return value.strip() == "*" or any(tag == str(version) for _, tag in _TAG.findall(value))


def asks_any_version(incoming: Incoming) -> bool:
    """Whether `If-Match: *` allows the change only where there is something already."""
    return incoming.headers.get("if-match", "").strip() == "*"


def base_version(incoming: Incoming) -> int | None:
    """The version that If-Match names; None without the header.

    Raises InvalidParams for anything but one strong tag of a version.
    """
    value = incoming.headers.get("if-match")
    if value is None:
        return None
    match = _TAG.fullmatch(value.strip())
    if match is None or match[1] or not _VERSION.fullmatch(match[2]):
        raise InvalidParams('If-Match names the one version that the change is based on, like "3".')
    return int(match[2])


def must_be_new(incoming: Incoming) -> bool:
    """Whether `If-None-Match: *` allows the change only where there is nothing yet.

    Raises InvalidParams for an If-None-Match with tags, which says nothing about a change.
    """
    value = incoming.headers.get("if-none-match")
    if value is None:
        return False
    if value.strip() != "*":
        raise InvalidParams("On a change, If-None-Match can only be *.")
    return True
