"""Web origins (RFC 6454): which page a browser acts for."""

from functools import lru_cache
from urllib.parse import urlsplit

from django.conf import settings

DEFAULT_PORTS = {"http": 80, "https": 443}


def is_ours(origin: str, scheme: str, host: str) -> bool:
    """Whether an Origin header is of a page of our own, as the browser reached us."""
    wanted = normal(origin)
    return wanted is not None and wanted == normal(f"{scheme}://{host}")


def is_allowed(origin: str) -> bool:
    """Whether an Origin header is one of ALLOWED_ORIGINS."""
    wanted = normal(origin)
    return wanted is not None and any(wanted == normal(one) for one in settings.ALLOWED_ORIGINS)


@lru_cache(maxsize=256)
def normal(origin: str) -> tuple[str, str, int] | None:
    """(scheme, host, port), or None for what is no web origin, such as `null`."""
    try:
        parts = urlsplit(origin)
        host, port = parts.hostname, parts.port
    except ValueError:
        return None
    if parts.scheme not in DEFAULT_PORTS or not host or origin.lower() != f"{parts.scheme}://{parts.netloc.lower()}":
        return None
    if "@" in parts.netloc:
        return None
    return parts.scheme, host, port or DEFAULT_PORTS[parts.scheme]
