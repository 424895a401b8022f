"""Which collector traces and metrics go to: one for both, unless a variable of their own says otherwise.

opentelemetry.io/docs/specs/otel/protocol/exporter: what is set of one signal goes before what is set of all, value by
value; an endpoint of its own is taken as it is, the common one gets the path of the signal.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import urlsplit

from django.conf import settings

GRPC, HTTP = "grpc", "http/protobuf"
PROTOCOLS = (GRPC, HTTP)
GRPC_PORT = ":4317"
"""Where a collector listens for gRPC, if not told otherwise."""

PATHS = {"TRACES": "v1/traces", "METRICS": "v1/metrics"}
"""Of each signal over HTTP, behind the common endpoint."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Own:
    """What variables of one signal say; "", no headers and 0 are what they do not."""

    endpoint: str = ""
    protocol: str = ""
    headers: Mapping[str, str]
    milliseconds: int = 0
    certificate: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Collector:
    """Where one signal goes, `url` with its path, and `seconds` of patience. `certificate` is a file of whom to trust
    over TLS, in place of those whom the system trusts."""

    url: str
    protocol: str = HTTP
    headers: Mapping[str, str]
    seconds: float
    certificate: str = ""


def collector_of(signal: str) -> Collector | None:
    """The collector of TRACES or METRICS, None where there is none or the signal is switched off."""
    own: Own = settings.OTLP_OWN[signal]
    endpoint = own.endpoint or settings.OTEL_EXPORTER_OTLP_ENDPOINT
    if not endpoint or getattr(settings, f"OTEL_{signal}_EXPORTER") == "none":
        return None
    usual = GRPC if urlsplit(endpoint).netloc.endswith(GRPC_PORT) else HTTP
    return Collector(
        url=own.endpoint or f"{endpoint.rstrip('/')}/{PATHS[signal]}",
        protocol=own.protocol or settings.OTEL_EXPORTER_OTLP_PROTOCOL or usual,
        headers=own.headers or settings.OTEL_EXPORTER_OTLP_HEADERS,
        seconds=(own.milliseconds or settings.OTEL_EXPORTER_OTLP_TIMEOUT) / 1000,
        certificate=own.certificate or settings.OTEL_EXPORTER_OTLP_CERTIFICATE,
    )
