"""Sending spans to a collector, over HTTP or gRPC (OTLP 1.x), by the settings."""

import ssl
from collections.abc import Mapping
from typing import Protocol
from urllib.parse import urlsplit

import grpc
import urllib3
from google.protobuf.message import DecodeError
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceResponse

RPC = "/opentelemetry.proto.collector.trace.v1.TraceService/Export"
PATH = "v1/traces"

RETRYABLE_STATUSES = frozenset({429, 502, 503, 504})
RETRYABLE_CODES = frozenset(
    {"CANCELLED", "DEADLINE_EXCEEDED", "RESOURCE_EXHAUSTED", "ABORTED", "OUT_OF_RANGE", "UNAVAILABLE", "DATA_LOSS"}
)
"""What the specification of OTLP has a client try again after."""


class CollectorAway(Exception):
    """The collector does not take anything now, and may later. The message holds no header and no user-info."""


class Unwanted(Exception):
    """The collector takes none of what it was sent, and would not later."""


class Sender(Protocol):
    """Sends to one collector; used by one thread."""

    def send(self, body: bytes) -> int:
        """Have an ExportTraceServiceRequest taken; returns how many of its spans were not.

        Raises CollectorAway and Unwanted.
        """

    def close(self) -> None: ...


class HttpSender:
    """Posts protobuf to `endpoint` with the path of traces behind it. Redirects are not followed."""

    def __init__(self, endpoint: str, headers: Mapping[str, str], seconds: float) -> None:
        parts = urlsplit(endpoint)
        self._where = f"{parts.hostname}:{parts.port}" if parts.port else str(parts.hostname)
        self._url = f"{endpoint.rstrip('/')}/{PATH}"
        self._headers = {**headers, "Content-Type": "application/x-protobuf", "User-Agent": "erlmcp"}
        self._pool = urllib3.PoolManager(
            maxsize=1,
            timeout=urllib3.Timeout(total=seconds),
            ssl_context=ssl.create_default_context() if parts.scheme == "https" else None,
        )

    def send(self, body: bytes) -> int:
        try:
            answer = self._pool.request(
                "POST", self._url, body=body, headers=self._headers, retries=False, redirect=False
            )
        except (urllib3.exceptions.HTTPError, OSError) as error:
            raise CollectorAway(f"{self._where} does not answer ({type(error).__name__})") from error
        if answer.status in RETRYABLE_STATUSES:
            raise CollectorAway(f"{self._where} answers {answer.status}")
        if not 200 <= answer.status < 300:
            raise Unwanted(f"{self._where} answers {answer.status}")
        return _rejected(answer.data)

    def close(self) -> None:
        self._pool.clear()


class GrpcSender:
    """Calls the TraceService at host and port of `endpoint`; over TLS where that begins with https."""

    def __init__(self, endpoint: str, headers: Mapping[str, str], seconds: float) -> None:
        parts = urlsplit(endpoint)
        self._where = f"{parts.hostname}:{parts.port or 4317}"
        if parts.scheme == "https":
            self._channel = grpc.secure_channel(self._where, grpc.ssl_channel_credentials())
        else:
            self._channel = grpc.insecure_channel(self._where)
        self._call = self._channel.unary_unary(RPC)
        self._metadata = tuple((name.lower(), value) for name, value in headers.items())
        self._seconds = seconds

    def send(self, body: bytes) -> int:
        try:
            answer: bytes = self._call(body, metadata=self._metadata, timeout=self._seconds)
        except grpc.RpcError as error:
            code = error.code().name
            kind = CollectorAway if code in RETRYABLE_CODES else Unwanted
            raise kind(f"{self._where} answers {code}") from error
        return _rejected(answer)

    def close(self) -> None:
        self._channel.close()


def sender_of(endpoint: str, protocol: str, headers: Mapping[str, str], seconds: float) -> Sender:
    """What sends to a collector over a protocol, `grpc` or `http/protobuf`, with `seconds` of patience."""
    kind = GrpcSender if protocol == "grpc" else HttpSender
    return kind(endpoint, headers, seconds)


def _rejected(answer: bytes) -> int:
    """How many spans a collector that says yes has not taken."""
    try:
        partial = ExportTraceServiceResponse.FromString(answer).partial_success
    except DecodeError:
        # it said yes, in whatever words
        return 0
    return int(partial.rejected_spans)
