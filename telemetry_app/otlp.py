"""Sending traces and metrics to a collector of OpenTelemetry, over HTTP or gRPC (OTLP 1.x)."""

import gzip
import ssl
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import urlsplit

import grpc
import urllib3
from google.protobuf.message import DecodeError
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceResponse
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceResponse

from telemetry_app.collectors import GRPC, Collector
from telemetry_app.patience import Impatient, ImpatientTls, beginning, retry_after

RETRYABLE_STATUSES = frozenset({429, 502, 503, 504})
RETRYABLE_CODES = frozenset(
    {"CANCELLED", "DEADLINE_EXCEEDED", "RESOURCE_EXHAUSTED", "ABORTED", "OUT_OF_RANGE", "UNAVAILABLE", "DATA_LOSS"}
)
"""What the specification of OTLP has a client try again after."""


class CollectorAway(Exception):
    """The collector does not take anything now, and may later. The message holds no header and no user-info.

    `after`: in how many seconds it may, if it has said that.
    """

    def __init__(self, reason: str, after: float | None = None) -> None:
        super().__init__(reason)
        self.after = after


class Unwanted(Exception):
    """The collector takes none of what it was sent, and would not later."""


@dataclass(frozen=True, slots=True)
class Signal:
    """One kind of what is told: where it goes over gRPC, and how an answer counts what was not taken."""

    rpc: str
    response: Any
    rejected: str


TRACES = Signal(
    "/opentelemetry.proto.collector.trace.v1.TraceService/Export",
    ExportTraceServiceResponse,
    "rejected_spans",
)
METRICS = Signal(
    "/opentelemetry.proto.collector.metrics.v1.MetricsService/Export",
    ExportMetricsServiceResponse,
    "rejected_data_points",
)


class Sender(Protocol):
    """Sends to one collector; used by one thread."""

    def send(self, body: bytes) -> int:
        """Have a request of the signal taken; returns how many of its parts were not.

        Raises CollectorAway and Unwanted.
        """

    def close(self) -> None: ...


class HttpSender:
    """Posts protobuf to the URL of a collector. Redirects are not followed."""

    def __init__(self, signal: Signal, collector: Collector) -> None:
        parts = urlsplit(collector.url)
        self._signal = signal
        self._seconds = seconds = collector.seconds
        self._where = f"{parts.hostname}:{parts.port}" if parts.port else str(parts.hostname)
        self._path = parts.path or "/"
        own = {"Content-Type": "application/x-protobuf", "Content-Encoding": "gzip", "User-Agent": "erlmcp"}
        self._headers = {**collector.headers, **own}
        host, timeout = parts.hostname or "", urllib3.Timeout(connect=seconds, read=seconds)
        if parts.scheme == "https":
            self._pool: urllib3.HTTPConnectionPool = urllib3.HTTPSConnectionPool(
                host,
                parts.port,
                timeout=timeout,
                maxsize=1,
                ssl_context=ssl.create_default_context(cafile=collector.certificate or None),
            )
            self._pool.ConnectionCls = ImpatientTls
        else:
            self._pool = urllib3.HTTPConnectionPool(host, parts.port, timeout=timeout, maxsize=1)
            self._pool.ConnectionCls = Impatient

    def send(self, body: bytes) -> int:
        try:
            response = self._pool.request(
                "POST",
                self._path,
                body=gzip.compress(body, compresslevel=5, mtime=0),
                headers=self._headers,
                retries=False,
                redirect=False,
                preload_content=False,
            )
            try:
                answer = beginning(response, self._seconds)
            finally:
                response.release_conn()
        except (urllib3.exceptions.HTTPError, OSError) as error:
            raise CollectorAway(f"{self._where} does not answer ({type(error).__name__})") from error
        if response.status in RETRYABLE_STATUSES:
            after = retry_after(response.headers.get("Retry-After"))
            raise CollectorAway(f"{self._where} answers {response.status}", after)
        if not 200 <= response.status < 300:
            raise Unwanted(f"{self._where} answers {response.status}")
        return _rejected(self._signal, answer)

    def close(self) -> None:
        self._pool.close()


class GrpcSender:
    """Calls the service of the signal at host and port of a collector; over TLS where its URL begins with https."""

    def __init__(self, signal: Signal, collector: Collector) -> None:
        parts = urlsplit(collector.url)
        self._signal = signal
        self._where = f"{_bracketed(parts.hostname or '')}:{parts.port or 4317}"
        # it is tried again when whoever sends thinks that it is time
        options = (("grpc.max_reconnect_backoff_ms", 1000), ("grpc.use_local_subchannel_pool", 1))
        if parts.scheme == "https":
            trusted = Path(collector.certificate).read_bytes() if collector.certificate else None
            self._channel = grpc.secure_channel(self._where, grpc.ssl_channel_credentials(trusted), options)
        else:
            self._channel = grpc.insecure_channel(self._where, options)
        self._call = self._channel.unary_unary(signal.rpc)
        self._metadata = tuple((name.lower(), value) for name, value in collector.headers.items())
        self._seconds = collector.seconds

    def send(self, body: bytes) -> int:
        try:
            answer: bytes = self._call(
                body, metadata=self._metadata, timeout=self._seconds, compression=grpc.Compression.Gzip
            )
        except grpc.RpcError as error:
            code = error.code().name
            kind = CollectorAway if code in RETRYABLE_CODES else Unwanted
            raise kind(f"{self._where} answers {code}") from error
        return _rejected(self._signal, answer)

    def close(self) -> None:
        self._channel.close()


def sender_of(signal: Signal, collector: Collector) -> Sender:
    """What sends to a collector over its protocol. Raises OSError where its file of certificates cannot be read."""
    kind = GrpcSender if collector.protocol == GRPC else HttpSender
    return kind(signal, collector)


def _bracketed(host: str) -> str:
    return f"[{host}]" if ":" in host else host


def _rejected(signal: Signal, answer: bytes) -> int:
    """How much a collector that says yes has not taken."""
    try:
        partial = signal.response.FromString(answer).partial_success
    except DecodeError:
        # it said yes, in whatever words
        return 0
    return int(getattr(partial, signal.rejected))
