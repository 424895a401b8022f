"""A collector of OpenTelemetry that takes what it is sent over gRPC and HTTP, and keeps it to be read back."""

import gzip
import ssl
import threading
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import grpc
from google.protobuf.message import Message
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsServiceRequest,
    ExportMetricsServiceResponse,
)
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)
from opentelemetry.proto.common.v1.common_pb2 import KeyValue
from opentelemetry.proto.metrics.v1.metrics_pb2 import Metric
from opentelemetry.proto.trace.v1.trace_pb2 import Span

METRICS = "/opentelemetry.proto.collector.metrics.v1.MetricsService/Export"
TRACES = "/opentelemetry.proto.collector.trace.v1.TraceService/Export"

KINDS: dict[str, tuple[type[Message], type[Message]]] = {
    METRICS: (ExportMetricsServiceRequest, ExportMetricsServiceResponse),
    TRACES: (ExportTraceServiceRequest, ExportTraceServiceResponse),
    "/v1/metrics": (ExportMetricsServiceRequest, ExportMetricsServiceResponse),
    "/v1/traces": (ExportTraceServiceRequest, ExportTraceServiceResponse),
}


class Collector:
    """Listens on two free ports from when it is made until `stop`. `metrics` and `traces` are all requests so far.

    While `answers` is not 200, HTTP answers that, and gRPC UNAVAILABLE; what comes then is not kept. `headers` are
    those of the last request, in small letters, or its metadata, and `paths` what HTTP was asked for. With a
    `certificate`, a PEM file with its key, it takes nothing but TLS.
    """

    def __init__(self, certificate: Path | None = None) -> None:
        self.paths: list[str] = []
        self.metrics: list[ExportMetricsServiceRequest] = []
        self.traces: list[ExportTraceServiceRequest] = []
        self.headers: dict[str, str] = {}
        self.answers = 200
        self._grpc = grpc.server(ThreadPoolExecutor(4), handlers=[_Handler(self)])
        self._http = ThreadingHTTPServer(("127.0.0.1", 0), _posts_to(self))
        if certificate is None:
            scheme, port = "http", self._grpc.add_insecure_port("127.0.0.1:0")
        else:
            pem = certificate.read_bytes()
            scheme, port = "https", self._grpc.add_secure_port("127.0.0.1:0", grpc.ssl_server_credentials([(pem, pem)]))
            tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            tls.load_cert_chain(certificate)
            self._http.socket = tls.wrap_socket(self._http.socket, server_side=True)
        self.grpc_url = f"{scheme}://127.0.0.1:{port}"
        self._grpc.start()
        self.http_url = f"{scheme}://127.0.0.1:{self._http.server_port}"
        self._thread = threading.Thread(target=self._http.serve_forever, args=(0.05,), daemon=True)
        self._thread.start()

    def stop(self) -> None:
        self._http.shutdown()
        self._http.server_close()
        self._grpc.stop(None).wait()

    def take(self, path: str, body: bytes, headers: dict[str, str]) -> Message:
        """Keep a request, and return the answer to it."""
        request, response = KINDS[path]
        told = request.FromString(body)
        self.headers = headers
        if isinstance(told, ExportMetricsServiceRequest):
            self.metrics.append(told)
        elif isinstance(told, ExportTraceServiceRequest):
            self.traces.append(told)
        return response()

    def found_metrics(self, number: int = -1) -> dict[str, Metric]:
        """The metrics of the last request, or of another one, by name."""
        if not self.metrics:
            return {}
        return {
            metric.name: metric
            for resource in self.metrics[number].resource_metrics
            for scope in resource.scope_metrics
            for metric in scope.metrics
        }

    def found_spans(self) -> list[Span]:
        """Every span so far, in the order in which they came."""
        return [
            span
            for request in list(self.traces)
            for resource in request.resource_spans
            for scope in resource.scope_spans
            for span in scope.spans
        ]


def instances(collector: Collector, name: str) -> set[str]:
    """The processes that have sent a span of this name."""
    return {
        attributes(resource.resource.attributes)["service.instance.id"]
        for request in list(collector.traces)
        for resource in request.resource_spans
        for scope in resource.scope_spans
        for span in scope.spans
        if span.name == name
    }


def attributes(pairs: Any) -> dict[str, Any]:
    """KeyValues as a dict, each value as it is written."""
    return {pair.key: _value(pair) for pair in pairs}


def _value(pair: KeyValue) -> Any:
    kind = pair.value.WhichOneof("value")
    return getattr(pair.value, kind) if kind else None


class _Handler(grpc.GenericRpcHandler):
    def __init__(self, collector: Collector) -> None:
        self._collector = collector

    def service(self, details: Any) -> Any:
        if details.method not in KINDS:
            return None

        def answer(body: bytes, context: Any) -> bytes:
            if self._collector.answers != 200:
                context.abort(grpc.StatusCode.UNAVAILABLE, "away for now")
            headers = {key: value for key, value in context.invocation_metadata() if isinstance(value, str)}
            return bytes(self._collector.take(details.method, body, headers).SerializeToString())

        return grpc.unary_unary_rpc_method_handler(answer)


def _posts_to(collector: Collector) -> type[BaseHTTPRequestHandler]:
    class Posts(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            if self.headers.get("Content-Encoding") == "gzip":
                body = gzip.decompress(body)
            status, answer = collector.answers, b""
            collector.paths.append(self.path)
            if status == 200 and self.path in KINDS:
                headers = {name.lower(): value for name, value in self.headers.items()}
                answer = collector.take(self.path, body, headers).SerializeToString()
            elif status == 200:
                status = 404
            self.send_response(status)
            self.send_header("Content-Type", "application/x-protobuf")
            self.send_header("Content-Length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

        def log_message(self, format: str, *args: Any) -> None:
            """Nothing on standard error."""

    return Posts
