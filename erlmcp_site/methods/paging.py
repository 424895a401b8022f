"""Keyset paging: a cursor is opaque to callers and names the last item that they were given (contract §2)."""

import base64
import binascii
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from audit_app.errors import InvalidParams


def cursor_of(params: Mapping[str, Any]) -> str:
    """The key behind which the page begins; "" at the beginning. Raises InvalidParams."""
    cursor = params.get("cursor")
    if not cursor:
        return ""
    try:
        key = base64.b64decode(cursor, altchars=b"-_", validate=True).decode()
    except (binascii.Error, ValueError):
        key = ""
    if "\0" in key or next_cursor(key) != cursor:
        raise InvalidParams("The cursor is not one of this list.")
    return key


def page(
    plural: str, items: Sequence[Any], limit: int, key: Callable[[int], str] | None
) -> dict[str, Sequence[Any] | str | None]:
    """A page of at most `limit` items; `items` holds one more when there are more, `key` names the key of an item."""
    cursor = None
    if key is not None and len(items) > limit:
        cursor = next_cursor(key(limit - 1))
    return {plural: items[:limit], "next_cursor": cursor}


def next_cursor(key: str) -> str:
    """The cursor of a page that begins behind a key."""
    return base64.urlsafe_b64encode(key.encode()).decode()
