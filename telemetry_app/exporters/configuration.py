"""What GRAPHITE_URL and the variables of OpenTelemetry say, parsed and checked when the settings are read.

No error of this module shows a value: it may hold a secret.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import parse_qsl, unquote, urlsplit

PLAINTEXT, PICKLE = "plaintext", "pickle"

GRAPHITE_SCHEMES = {
    "graphite": PLAINTEXT,
    "plaintext": PLAINTEXT,
    "tcp": PLAINTEXT,
    "graphite+pickle": PICKLE,
    "pickle": PICKLE,
}
GRAPHITE_PORTS = {PLAINTEXT: 2003, PICKLE: 2004}

GRPC, HTTP = "grpc", "http/protobuf"
PROTOCOLS = (GRPC, HTTP)
GRPC_PORT = 4317


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


@dataclass(frozen=True, slots=True, kw_only=True)
class Otlp:
    """An OpenTelemetry collector. `authority` is the file of the certificates that it is verified with, if not ours."""

    protocol: str
    is_tls: bool
    host: str
    port: int
    path: str
    headers: Mapping[str, str] = field(repr=False)
    authority: Path | None


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


def parse_otlp(endpoint: str, protocol: str, headers: Mapping[str, str], authority: str) -> Otlp:
    """The collector that OpenTelemetry's variables name. Raises BadReceiver.

    Without a protocol it is gRPC on port 4317 and HTTP elsewhere, as collectors listen.
    """
    try:
        parts = urlsplit(endpoint)
        port = parts.port
    except ValueError:
        raise BadReceiver("is not a URL") from None
    if not parts.hostname or parts.username or parts.password or parts.query or parts.fragment:
        raise BadReceiver("must be a URL of a host, without a user, a password or a query")
    if parts.scheme not in {"http", "https"}:
        raise BadReceiver("must begin with http:// or https://")
    is_tls = parts.scheme == "https"
    protocol = protocol or (GRPC if port == GRPC_PORT else HTTP)
    return Otlp(
        protocol=protocol,
        is_tls=is_tls,
        host=parts.hostname,
        port=port or {GRPC: GRPC_PORT, HTTP: 443 if is_tls else 80}[protocol],
        path=f"{parts.path.rstrip('/')}/v1/metrics",
        headers=headers,
        authority=Path(authority) if authority else None,
    )


def parse_headers(text: str) -> dict[str, str]:
    """`name=value,name=value`, values percent-encoded (W3C Baggage, as OpenTelemetry has it). Raises BadReceiver."""
    headers = {}
    for pair in filter(None, (part.strip() for part in text.split(","))):
        name, found, value = pair.partition("=")
        name, value = name.strip().lower(), unquote(value.strip())
        is_value = value.isascii() and value.isprintable()
        if not found or not is_value or not re.fullmatch(r"[a-z0-9!#$&'*+.^_`|~-]+", name):
            raise BadReceiver("must be headers such as authorization=Bearer%20…, separated by commas")
        headers[name] = value
    return headers


def named(text: str) -> str:
    """A text as one part of a dotted path."""
    return re.sub(r"[^A-Za-z0-9_-]", "_", text) or "_"
