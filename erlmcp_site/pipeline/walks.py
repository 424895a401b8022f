"""The walk of a request as spans: one for the request, and below it one for each stage.

Nothing of them is made while the request runs, but of the times that its passage has anyway, once it has been answered
and only if its trace is kept; and then in the thread that sends them.
"""

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from audit_app.errors import Refusal
from audit_app.redaction import redacted_text
from erlmcp_site.pipeline.messages import UNKNOWN, HttpExchange
from erlmcp_site.pipeline.method import Method
from erlmcp_site.pipeline.passage import Passage
from erlmcp_site.pipeline.stages import Stage
from telemetry_app.tracing.context import TraceContext, span_id
from telemetry_app.tracing.spans import Attributes, Kind, Span
from telemetry_app.tracing.tracer import tracer

RPC_SYSTEMS = {"websocket": "jsonrpc", "grpc": "grpc", "mcp": "jsonrpc"}
RPC_METHODS: dict[str, dict[str, str]] = {}
"""By transport, how it names methods where it does not as we do; transports fill it in."""

RPC_STATUSES: dict[str, dict[str, str]] = {}
"""By transport, its status for each code, and for "", success, where it has one; transports fill it in, too."""

OTHER = "_OTHER"
"""What the semantic conventions call a method that there is not."""

FLOODS = frozenset({"unauthenticated", "rate_limited"})
MAX_CHARACTERS = 2048
"""Of what a client says, so much is told."""


def keep(passage: Passage, method: Method | None, refusal: Refusal | None) -> bool:
    """Have the spans of a passage that ends now sent, if they are kept; returns whether they are.

    What was made to wait is not slow. What floods consist of is not kept, whatever its caller wants: others would lose
    their place.
    """
    if refusal is not None and refusal.code in FLOODS:
        return False
    is_waiting = method is not None and method.seconds is not None
    seconds = 0.0 if is_waiting else passage.entered - passage.began
    if not tracer.keeps(passage.trace, seconds, has_failed=refusal is not None and refusal.outcome == "error"):
        return False
    walk, exchange = Walk.of(passage, method, refusal), passage.request.http
    if exchange is None:
        tracer.hand(walk)
    else:
        exchange.kept += (walk,)
    return True


def hand_on(exchange: HttpExchange, status: int | None) -> None:
    """Have sent what is kept of an exchange of HTTP, with the status of its answer; None: there was none."""
    for walk in exchange.kept:
        walk.status = status
        tracer.hand(walk)
    exchange.kept = ()


@dataclass(slots=True, kw_only=True)
class Walk:
    """What spans tell of one request. It holds no parameter, no content and no credentials.

    `ended` is Unix time in nanoseconds; `seconds` says how long each stage took, in order; `status` is that of HTTP.
    """

    trace: TraceContext
    batch: TraceContext | None
    ended: int
    seconds: Sequence[tuple[Stage, float]]
    method: str
    transport: str
    verb: str
    route: str
    resource_type: str
    resource_id: str
    request_id: str
    session_id: str
    outcome: str
    code: str
    labels: Mapping[str, str]
    status: int | None = None

    @classmethod
    def of(cls, passage: Passage, method: Method | None, refusal: Refusal | None) -> "Walk":
        """That of a passage that ends now, completed or not."""
        request, session = passage.request, passage.session
        seconds = passage.seconds
        if passage.stage is not Stage.COMPLETED:
            seconds = [*seconds, (passage.stage, time.perf_counter() - passage.entered)]
        return cls(
            trace=passage.trace,
            batch=passage.trace.batch,
            ended=time.time_ns(),
            seconds=seconds,
            method=request.method if method is not None else UNKNOWN,
            transport=request.transport,
            verb=request.verb,
            route=request.http.route if request.http else "",
            resource_type=passage.resource_type,
            resource_id=passage.resource_id,
            request_id=request.id,
            session_id=session.id if session else "",
            outcome=refusal.outcome if refusal else "success",
            code=refusal.code if refusal else "",
            labels=request.labels,
        )

    @property
    def count(self) -> int:
        return 1 + len(self.seconds)

    def spans(self) -> Iterator[Span]:
        trace = self.trace
        stages = [(stage, round(seconds * 1e9)) for stage, seconds in self.seconds]
        start = at = self.ended - sum(took for _, took in stages)
        yield Span(
            trace=trace,
            name=self.method,
            kind=Kind.SERVER,
            start=start,
            end=self.ended,
            attributes=self._attributes(),
            links=() if self.batch is None else (self.batch,),
            error=self.code if self.outcome == "error" else None,
            has_remote_parent=bool(trace.parent_id),
        )
        for stage, took in stages:
            yield Span(
                trace=TraceContext(trace.trace_id, span_id(), trace.span_id, trace.flags, trace.state),
                name=stage,
                kind=Kind.INTERNAL,
                start=at,
                end=at + took,
            )
            at += took

    def _attributes(self) -> Attributes:
        """The names of OpenTelemetry's semantic conventions where it has one."""
        system = RPC_SYSTEMS.get(self.transport, "")
        return {
            "erlmcp.transport": self.transport,
            "erlmcp.method": self.method,
            "erlmcp.outcome": self.outcome,
            "erlmcp.resource.type": self.resource_type,
            "erlmcp.resource.id": redacted_text(self.resource_id[:MAX_CHARACTERS]),
            "erlmcp.request.id": redacted_text(self.request_id),
            "session.id": self.session_id,
            "error.type": self.code,
            "http.request.method": self.verb,
            "http.route": self.route,
            "http.response.status_code": self.status or "",
            "rpc.system.name": system,
            "rpc.method": self._rpc_method() if system else "",
            "rpc.response.status_code": RPC_STATUSES.get(self.transport, {}).get(self.code, ""),
            **{name: redacted_text(value[:MAX_CHARACTERS]) for name, value in self.labels.items()},
        }

    def _rpc_method(self) -> str:
        if self.method == UNKNOWN:
            return OTHER
        return RPC_METHODS.get(self.transport, {}).get(self.method, self.method)
