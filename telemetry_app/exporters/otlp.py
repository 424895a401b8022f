"""OpenTelemetry metrics over gRPC or HTTP, in protobuf (OTLP 1.x: opentelemetry.io/docs/specs/otlp/).

Not the exporters of opentelemetry-sdk: those send what their own instruments of one process have counted, and these
are the sums of a node. Temporality is cumulative; names are those of docs/telemetry.md.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import pairwise

from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
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
from telemetry_app.exporters.exporter import PointsRejected, ReceiverAway
from telemetry_app.otlp import CollectorAway, Sender, Unwanted
from telemetry_app.state import Labels, State
from telemetry_app.windows import histograms

CUMULATIVE = AggregationTemporality.AGGREGATION_TEMPORALITY_CUMULATIVE

UCUM = {"seconds": "s", "bytes": "By", "ratio": "1", "entries": "{entry}"}


class OtlpExporter:
    """A request for each state. `about` are the attributes of the resource: of the node, not of one process."""

    name = "otlp"

    def __init__(self, connect: Callable[[], Sender], about: Mapping[str, str]) -> None:
        self._connect = connect
        self._about = about
        self._sender: Sender | None = None

    def points(self, state: State) -> int:
        return count_points(state)

    def export(self, state: State) -> None:
        if self._sender is None:
            self._sender = self._connect()
        try:
            rejected = self._sender.send(request(state, self._about).SerializeToString())
        except CollectorAway as away:
            self.close()
            raise ReceiverAway(str(away), away.after) from away
        except Unwanted as unwanted:
            raise PointsRejected(str(unwanted), count_points(state)) from unwanted
        if rejected > 0:
            raise PointsRejected("it does not say which", rejected)

    def close(self) -> None:
        sender, self._sender = self._sender, None
        if sender is not None:
            sender.close()


def request(state: State, about: Mapping[str, str]) -> ExportMetricsServiceRequest:
    """A state as one request."""
    resource = Resource(attributes=_attributes(about.items()))
    scope = ScopeMetrics(scope=InstrumentationScope(name="erlmcp"), metrics=_metrics(state))
    return ExportMetricsServiceRequest(resource_metrics=[ResourceMetrics(resource=resource, scope_metrics=[scope])])


def count_points(state: State) -> int:
    """How many points a request has: a histogram of one set of labels is one."""
    return sum(1 for sample, _ in state.samples if not sample.endswith(("_bucket", "_sum")))


def _metrics(state: State) -> list[Metric]:
    since, at = int(state.since * 1e9), int(state.at * 1e9)
    metrics: dict[str, Metric] = {}
    for (sample, labels), value in state.samples.items():
        description = BY_SAMPLE[sample]
        if description.kind == "histogram":
            continue
        metric = metrics.get(description.name)
        if metric is None:
            metric = metrics[description.name] = _metric(description)
        point = NumberDataPoint(
            attributes=_attributes(labels), as_double=value, start_time_unix_nano=since, time_unix_nano=at
        )
        (metric.sum if description.kind == "counter" else metric.gauge).data_points.append(point)
    for description, labels, buckets in histograms(state.samples, state.samples):
        metric = metrics.get(description.name)
        if metric is None:
            metric = metrics[description.name] = _metric(description)
        metric.histogram.data_points.append(_histogram_point(description, labels, buckets, state))
    return list(metrics.values())


def _metric(description: Description) -> Metric:
    unit = UCUM.get(description.unit, "")
    metric = Metric(name=description.name, description=description.meaning, unit=unit)
    if description.kind == "counter":
        metric.sum.CopyFrom(Sum(aggregation_temporality=CUMULATIVE, is_monotonic=True))
    elif description.kind == "histogram":
        metric.histogram.CopyFrom(Histogram(aggregation_temporality=CUMULATIVE))
    else:
        metric.gauge.CopyFrom(Gauge())
    return metric


def _histogram_point(
    description: Description, labels: Labels, buckets: Mapping[float, float], state: State
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
        start_time_unix_nano=int(state.since * 1e9),
        time_unix_nano=int(state.at * 1e9),
    )


def _exemplars(description: Description, labels: Labels, state: State) -> Iterator[Exemplar]:
    for (sample, pairs), exemplar in state.exemplars.items():
        if BY_SAMPLE[sample] is description and pairs[:-1] == labels:
            yield Exemplar(
                time_unix_nano=int(float(exemplar.timestamp or 0.0) * 1e9),
                as_double=exemplar.value,
                trace_id=bytes.fromhex(exemplar.labels["trace_id"]),
            )


def _attributes(pairs: Iterable[tuple[str, str]]) -> list[KeyValue]:
    return [KeyValue(key=key, value=AnyValue(string_value=value)) for key, value in pairs]
