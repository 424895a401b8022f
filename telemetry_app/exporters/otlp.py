"""OpenTelemetry metrics over gRPC or HTTP, in protobuf (OTLP 1.x: opentelemetry.io/docs/specs/otlp/).

Not the exporters of opentelemetry-sdk: those send what their own instruments of one process have counted, and these
are the sums of a node. Temporality is cumulative; names are those of docs/telemetry.md.
"""

import gzip
from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise
from typing import Any

import grpc
import urllib3
from google.protobuf.message import DecodeError
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsServiceRequest,
    ExportMetricsServiceResponse,
)
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, InstrumentationScope, KeyValue
from opentelemetry.proto.metrics.v1.metrics_pb2 import (
    AggregationTemporality,
    Exemplar,
    Gauge,
    Histogram,
    HistogramDataPoint,
    Metric,
    NumberDataPoint,
    ResourceMetrics,
    ScopeMetrics,
    Sum,
)
from opentelemetry.proto.resource.v1.resource_pb2 import Resource

from telemetry_app.catalogue import BY_SAMPLE, Description
from telemetry_app.exporters.configuration import GRPC, Otlp
from telemetry_app.exporters.exporter import Exporter, PointsRejected, ReceiverAway
from telemetry_app.patience import Impatient, ImpatientTls, beginning, retry_after
from telemetry_app.state import Labels, State
from telemetry_app.windows import histograms

SEND_SECONDS = 10.0
MAX_REASON = 200
EXPORT = "/opentelemetry.proto.collector.metrics.v1.MetricsService/Export"
CUMULATIVE = AggregationTemporality.AGGREGATION_TEMPORALITY_CUMULATIVE

UCUM = {"seconds": "s", "bytes": "By", "ratio": "1", "entries": "{entry}"}

# what a collector says of what it was sent, and will say again
OF_THE_POINTS = frozenset({grpc.StatusCode.INVALID_ARGUMENT, grpc.StatusCode.UNIMPLEMENTED})


def otlp_exporter(target: Otlp, node: str) -> Exporter:
    """The exporter for a collector."""
    return (GrpcExporter if target.protocol == GRPC else HttpExporter)(target, node)


class HttpExporter:
    """A request for each state. Redirects are not followed."""

    name = "otlp"

    def __init__(self, target: Otlp, node: str) -> None:
        self._target = target
        self._node = node
        self._pool: urllib3.HTTPConnectionPool | None = None

    def points(self, state: State) -> int:
        return count_points(state)

    def export(self, state: State) -> None:
        body = gzip.compress(request(state, self._node).SerializeToString(), compresslevel=5, mtime=0)
        headers = {
            **self._target.headers,
            "Content-Type": "application/x-protobuf",
            "Content-Encoding": "gzip",
            "User-Agent": "erlmcp",
        }
        try:
            response = self._opened().request(
                "POST",
                self._target.path,
                body=body,
                headers=headers,
                retries=False,
                redirect=False,
                preload_content=False,
            )
            try:
                answer = beginning(response, SEND_SECONDS)
            finally:
                response.release_conn()
        except (urllib3.exceptions.HTTPError, OSError, UnicodeError) as error:
            self.close()
            raise ReceiverAway(_where(self._target, error)) from error
        if response.status in {400, 413}:
            raise PointsRejected(_where(self._target, f"HTTP {response.status}"), count_points(state))
        if not 200 <= response.status < 300:
            after = retry_after(response.headers.get("Retry-After"))
            raise ReceiverAway(_where(self._target, f"HTTP {response.status}"), after)
        try:
            _check_whole(ExportMetricsServiceResponse.FromString(answer))
        except DecodeError:
            # it said 200, in whatever words
            return

    def close(self) -> None:
        pool, self._pool = self._pool, None
        if pool is not None:
            pool.close()

    def _opened(self) -> urllib3.HTTPConnectionPool:
        if self._pool is None:
            target, timeout = self._target, urllib3.Timeout(connect=SEND_SECONDS, read=SEND_SECONDS)
            if target.is_tls:
                authority = str(target.authority) if target.authority else None
                self._pool = urllib3.HTTPSConnectionPool(
                    target.host, target.port, timeout=timeout, maxsize=1, ca_certs=authority
                )
            else:
                self._pool = urllib3.HTTPConnectionPool(target.host, target.port, timeout=timeout, maxsize=1)
            self._pool.ConnectionCls = ImpatientTls if target.is_tls else Impatient
        return self._pool


class GrpcExporter:
    """A call for each state, on one channel."""

    name = "otlp"

    def __init__(self, target: Otlp, node: str) -> None:
        self._target = target
        self._node = node
        self._channel: grpc.Channel | None = None

    def points(self, state: State) -> int:
        return count_points(state)

    def export(self, state: State) -> None:
        try:
            answer = self._opened().unary_unary(
                EXPORT,
                request_serializer=ExportMetricsServiceRequest.SerializeToString,
                response_deserializer=ExportMetricsServiceResponse.FromString,
            )(
                request(state, self._node),
                timeout=SEND_SECONDS,
                metadata=tuple(self._target.headers.items()),
                compression=grpc.Compression.Gzip,
            )
        except (grpc.RpcError, OSError) as error:
            # the next one connects at once, and does not wait for gRPC to think that it is time
            self.close()
            code = error.code() if isinstance(error, grpc.Call) else None
            if code in OF_THE_POINTS:
                raise PointsRejected(_where(self._target, code), count_points(state)) from error
            raise ReceiverAway(_where(self._target, code or error)) from error
        _check_whole(answer)

    def close(self) -> None:
        channel, self._channel = self._channel, None
        if channel is not None:
            channel.close()

    def _opened(self) -> grpc.Channel:
        if self._channel is None:
            target = self._target
            address = f"[{target.host}]:{target.port}" if ":" in target.host else f"{target.host}:{target.port}"
            options = (("grpc.enable_http_proxy", 0), ("grpc.use_local_subchannel_pool", 1))
            if target.is_tls:
                authority = target.authority.read_bytes() if target.authority else None
                credentials = grpc.ssl_channel_credentials(authority)
                self._channel = grpc.secure_channel(address, credentials, options)
            else:
                self._channel = grpc.insecure_channel(address, options)
        return self._channel


def request(state: State, node: str) -> ExportMetricsServiceRequest:
    """A state as one request."""
    about = Resource(attributes=_attributes((("service.name", "erlmcp"), ("service.instance.id", node))))
    scope = ScopeMetrics(scope=InstrumentationScope(name="erlmcp"), metrics=_metrics(state))
    return ExportMetricsServiceRequest(resource_metrics=[ResourceMetrics(resource=about, scope_metrics=[scope])])


def count_points(state: State) -> int:
    """How many points a request has: a histogram of one set of labels is one."""
    return sum(1 for sample, _ in state.samples if not sample.endswith(("_bucket", "_sum")))


def _metrics(state: State) -> list[Metric]:
    times = {"start_time_unix_nano": int(state.since * 1e9), "time_unix_nano": int(state.at * 1e9)}
    metrics: dict[str, Metric] = {}
    for (sample, labels), value in state.samples.items():
        description = BY_SAMPLE[sample]
        if description.kind == "histogram":
            continue
        metric = metrics.get(description.name)
        if metric is None:
            metric = metrics[description.name] = _metric(description)
        point = NumberDataPoint(attributes=_attributes(labels), as_double=value, **times)
        (metric.sum if description.kind == "counter" else metric.gauge).data_points.append(point)
    for description, labels, buckets in histograms(state.samples, state.samples):
        metric = metrics.get(description.name)
        if metric is None:
            metric = metrics[description.name] = _metric(description)
        metric.histogram.data_points.append(_histogram_point(description, labels, buckets, state, times))
    return list(metrics.values())


def _metric(description: Description) -> Metric:
    told = {
        "name": description.name,
        "description": description.meaning,
        "unit": UCUM.get(description.unit, ""),
    }
    if description.kind == "counter":
        return Metric(**told, sum=Sum(aggregation_temporality=CUMULATIVE, is_monotonic=True))
    if description.kind == "histogram":
        return Metric(**told, histogram=Histogram(aggregation_temporality=CUMULATIVE))
    return Metric(**told, gauge=Gauge())


def _histogram_point(
    description: Description, labels: Labels, buckets: Mapping[float, float], state: State, times: Mapping[str, int]
) -> HistogramDataPoint:
    bounds = sorted(buckets)
    counts = [int(buckets[bounds[0]]), *(int(buckets[above] - buckets[below]) for below, above in pairwise(bounds))]
    return HistogramDataPoint(
        attributes=_attributes(labels),
        explicit_bounds=bounds[:-1],
        bucket_counts=counts,
        count=sum(counts),
        sum=state.samples.get((f"{description.family}_sum", labels), 0.0),
        exemplars=list(_exemplars(description, labels, state)),
        **times,
    )


def _exemplars(description: Description, labels: Labels, state: State) -> Iterator[Exemplar]:
    for (sample, pairs), exemplar in state.exemplars.items():
        if BY_SAMPLE[sample] is description and pairs[:-1] == labels:
            yield Exemplar(
                time_unix_nano=int(float(exemplar.timestamp or 0.0) * 1e9),
                as_double=exemplar.value,
                trace_id=bytes.fromhex(exemplar.labels["trace_id"]),
            )


def _attributes(pairs: Sequence[tuple[str, str]]) -> list[KeyValue]:
    return [KeyValue(key=key, value=AnyValue(string_value=value)) for key, value in pairs]


def _check_whole(answer: ExportMetricsServiceResponse) -> None:
    """Raises PointsRejected when the collector took only a part: which one, it does not say."""
    partial = answer.partial_success
    if partial.rejected_data_points > 0:
        raise PointsRejected(partial.error_message[:MAX_REASON], partial.rejected_data_points)


def _where(target: Otlp, reason: Any) -> str:
    return f"{target.host}:{target.port}: {reason}"
