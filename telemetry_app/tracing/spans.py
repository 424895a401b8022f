"""Spans that have ended, and how OTLP writes them (opentelemetry.io/docs/specs/otlp)."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Protocol

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, InstrumentationScope, KeyValue
from opentelemetry.proto.resource.v1.resource_pb2 import Resource
from opentelemetry.proto.trace.v1 import trace_pb2 as written

from telemetry_app.tracing.context import TraceContext

Value = str | int | float
Attributes = Mapping[str, Value]

REMOTE = written.SPAN_FLAGS_CONTEXT_HAS_IS_REMOTE_MASK
IS_REMOTE = REMOTE | written.SPAN_FLAGS_CONTEXT_IS_REMOTE_MASK


class Kind(IntEnum):
    """What a span is to others, by the numbers of OTLP."""

    INTERNAL = 1
    SERVER = 2
    PRODUCER = 4
    CONSUMER = 5


@dataclass(slots=True, kw_only=True)
class Span:
    """One span. `start` and `end` are Unix time in nanoseconds; `error` says why it failed, None when it did not.

    Attributes whose value is "" are left out. `has_remote_parent`: the parent is of another process. Alone, a span is
    Finished, too.
    """

    trace: TraceContext
    name: str
    kind: Kind
    start: int
    end: int
    attributes: Attributes = field(default_factory=dict)
    links: Sequence[TraceContext] = ()
    error: str | None = None
    has_remote_parent: bool = False

    @property
    def count(self) -> int:
        return 1

    def spans(self) -> "Iterable[Span]":
        return (self,)


class Finished(Protocol):
    """Something that has ended, to be made into so many spans once there is time for that, in another thread."""

    @property
    def count(self) -> int: ...

    def spans(self) -> Iterable[Span]: ...


def request_of(spans: Iterable[Span], about: Attributes) -> ExportTraceServiceRequest:
    """Spans as one request; `about` are the attributes of the resource that they are of."""
    scope = written.ScopeSpans(scope=InstrumentationScope(name="erlmcp"), spans=[_written(span) for span in spans])
    resource = Resource(attributes=_attributes(about))
    return ExportTraceServiceRequest(resource_spans=[written.ResourceSpans(resource=resource, scope_spans=[scope])])


def _written(span: Span) -> written.Span:
    trace = span.trace
    made = written.Span(
        trace_id=bytes.fromhex(trace.trace_id),
        span_id=bytes.fromhex(trace.span_id),
        parent_span_id=bytes.fromhex(trace.parent_id),
        trace_state=trace.state,
        flags=trace.flags | (IS_REMOTE if span.has_remote_parent else REMOTE),
        name=span.name,
        kind=span.kind,  # type: ignore[arg-type]  # the type that the stub wants is not there at run time
        start_time_unix_nano=span.start,
        end_time_unix_nano=span.end,
    )
    # most spans are stages, which have nothing of these
    if span.attributes:
        made.attributes.extend(_attributes(span.attributes))
    if span.links:
        made.links.extend(map(_link, span.links))
    if span.error is not None:
        made.status.CopyFrom(written.Status(code=written.Status.STATUS_CODE_ERROR, message=span.error))
    return made


def _link(trace: TraceContext) -> written.Span.Link:
    return written.Span.Link(
        trace_id=bytes.fromhex(trace.trace_id), span_id=bytes.fromhex(trace.span_id), flags=trace.flags | REMOTE
    )


def _attributes(values: Attributes) -> list[KeyValue]:
    return [KeyValue(key=key, value=_value(value)) for key, value in values.items() if value != ""]


def _value(value: Value) -> AnyValue:
    if isinstance(value, str):
        return AnyValue(string_value=value)
    return AnyValue(int_value=value) if isinstance(value, int) else AnyValue(double_value=value)
