"""The identity of resources: RFC 3986 URIs, normalised, without anything that could mean two things (contract §3)."""

import re
from functools import lru_cache

from resources_app.errors import InvalidUri

MAX_URI_BYTES = 2048
OWN_SCHEME = "resource"
"""Of this scheme, an authority alone is no resource, but what patterns for all below it begin with."""
END = "\U0010ffff"
"""Behind every URI, in byte order."""

_PARTS = re.compile(r"(?P<scheme>[A-Za-z][A-Za-z0-9+.-]*)://(?P<authority>[^/?#]*)(?P<path>/[^?#]*)?", re.ASCII)
_AUTHORITY = re.compile(r"(\[[0-9A-Fa-f:.]+\]|(?:[A-Za-z0-9._~!$&'()*+,;=-]|%[0-9A-Fa-f]{2})+)(:[0-9]{1,5})?", re.ASCII)
_FORBIDDEN = re.compile(r"[\x00-\x20\x7f-\x9f\"<>\\^`{|}]")
_SEPARATOR = re.compile("/|%2F")
_DOTS = frozenset({".", ".."})
_ESCAPE = re.compile(r"%([0-9A-Fa-f]{2})|%")
_UNRESERVED = frozenset(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~")


@lru_cache(maxsize=16_384)
def normalise(text: str, *, pattern_base: bool = False) -> str:
    """The one spelling of a URI: scheme and authority in lower case, escapes only where needed, in the path upper case.

    Letters beyond ASCII are percent-encoded as UTF-8 (RFC 3987 §3.1). Schemes of others may name a resource by its
    authority alone, with no path; `pattern_base` allows that of any. Raises InvalidUri for relative references, query,
    fragment, user-info, empty authority, a path that is missing or empty, control characters, dot segments (also where
    dots or slashes are encoded), and last segments that only a pattern may have.
    """
    try:
        size = len(text.encode())
    except UnicodeEncodeError:
        raise InvalidUri("The URI is not valid Unicode.") from None
    if size > MAX_URI_BYTES:
        raise InvalidUri(f"The URI is longer than {MAX_URI_BYTES} bytes.")
    if _FORBIDDEN.search(text):
        raise InvalidUri("The URI has a character that must be percent-encoded.")
    match = _PARTS.fullmatch(text)
    if match is None:
        raise InvalidUri("A resource URI reads scheme://authority/path, without query or fragment.")
    scheme, authority, path = match["scheme"].lower(), match["authority"], match["path"] or ""
    if "@" in authority or "%40" in authority:
        raise InvalidUri("A resource URI has no user-info.")
    if not _AUTHORITY.fullmatch(authority):
        raise InvalidUri("The authority of the URI is empty or not valid.")
    authority, path = _escape(authority).lower(), _escape(path)
    if authority in _DOTS or not _DOTS.isdisjoint(_SEPARATOR.split(path)):
        raise InvalidUri("A resource URI has no dot segments.")
    if not pattern_base and (path == "/" or path.endswith(("/*", "/+")) or (scheme == OWN_SCHEME and not path)):
        raise InvalidUri("A resource URI needs a path, and * or + alone at its end make it a pattern.")
    normal = f"{scheme}://{authority}{path}"
    if len(normal) > MAX_URI_BYTES:
        raise InvalidUri(f"The URI is longer than {MAX_URI_BYTES} bytes.")
    return normal


def _escape(text: str) -> str:
    """Percent-encode what is beyond ASCII, decode what needs no encoding, and write the rest in upper case."""

    def one(match: re.Match[str]) -> str:
        digits = match[1]
        if digits is None:
            raise InvalidUri("The URI has a percent sign that begins no escape.")
        byte = int(digits, 16)
        if byte in _UNRESERVED:
            return chr(byte)
        if byte < 0x20 or byte == 0x7F or byte == 0x5C:
            raise InvalidUri("The URI has an encoded control character or backslash.")
        return f"%{digits.upper()}"

    if not text.isascii():
        text = "".join(
            character if character.isascii() else "".join(f"%{byte:02X}" for byte in character.encode())
            for character in text
        )
    return _ESCAPE.sub(one, text) if "%" in text else text
