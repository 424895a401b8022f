"""What GRAPHITE_URL says, parsed and checked when the settings are read."""

import re
from dataclasses import dataclass
from urllib.parse import parse_qsl, urlsplit

PLAINTEXT, PICKLE = "plaintext", "pickle"

GRAPHITE_SCHEMES = {
    "graphite": PLAINTEXT,
    "plaintext": PLAINTEXT,
    "tcp": PLAINTEXT,
    "graphite+pickle": PICKLE,
    "pickle": PICKLE,
}
GRAPHITE_PORTS = {PLAINTEXT: 2003, PICKLE: 2004}


class BadReceiver(ValueError):
    """What names no receiver; the message says what is wrong, to go on behind the name of the variable."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Graphite:
    """Where metrics go, and how they are named there: below `prefix`, or with tags."""

    host: str
    port: int
    protocol: str
    prefix: str
    has_tags: bool


def parse_graphite(url: str, node: str) -> Graphite:
    """The receiver that a URL names: graphite://host[:port][?prefix=…][&tags=1]. Raises BadReceiver."""
    try:
        parts = urlsplit(url if "://" in url else f"graphite://{url}")
        port = parts.port
        given = dict(parse_qsl(parts.query, strict_parsing=bool(parts.query)))
    except ValueError:
        raise BadReceiver("is not a URL") from None
    protocol = GRAPHITE_SCHEMES.get(parts.scheme)
    if protocol is None:
        raise BadReceiver(f"must begin with one of {', '.join(f'{scheme}://' for scheme in GRAPHITE_SCHEMES)}")
    if not parts.hostname or parts.path not in {"", "/"} or parts.username or parts.password or parts.fragment:
        raise BadReceiver("must be a host, maybe with a port, and nothing else but prefix and tags")
    prefix, tags = given.pop("prefix", f"erlmcp.{named(node)}"), given.pop("tags", "0")
    if given or tags not in {"0", "1"} or not re.fullmatch(r"[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+)*", prefix):
        raise BadReceiver("takes the parameters prefix, a dotted path, and tags, 0 or 1")
    return Graphite(
        host=parts.hostname,
        port=port or GRAPHITE_PORTS[protocol],
        protocol=protocol,
        prefix=prefix,
        has_tags=tags == "1",
    )


def named(text: str) -> str:
    """A text as one part of a dotted path."""
    return re.sub(r"[^A-Za-z0-9_-]", "_", text) or "_"
