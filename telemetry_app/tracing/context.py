"""Which trace a piece of work belongs to, and how that is told (W3C Trace Context, w3.org/TR/trace-context)."""

import random
import re
from contextvars import ContextVar

from telemetry_app.tracing.sampling import sampler

SAMPLED = 0x01
RANDOM = 0x02
"""The trace id is random, which who begins a trace says (Trace Context, level 2)."""

MAX_STATE_CHARACTERS = 512
MAX_STATE_MEMBERS = 32

_TRACEPARENT = re.compile(r"([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?", re.ASCII)
_MEMBER = re.compile(
    r"(?P<key>[a-z][a-z0-9_*/-]{0,255}|[a-z0-9][a-z0-9_*/-]{0,240}@[a-z][a-z0-9_*/-]{0,13})"
    r"=[\x20-\x2b\x2d-\x3c\x3e-\x7e]{0,255}[\x21-\x2b\x2d-\x3c\x3e-\x7e]",
    re.ASCII,
)
_NO_TRACE = "0" * 32
_NO_SPAN = "0" * 16


class TraceContext:
    """The trace and the span of one request, batch or task; all ids are lower-case hexadecimal.

    `parent_id` is the caller's span, "" where the trace begins here. `is_sampled` says that whoever began the trace, or
    our ratio, wants it kept. `state` is the caller's tracestate. `batch` is the span of the batch that committed the
    work, where that is kept.
    """

    __slots__ = ("batch", "flags", "parent_id", "span_id", "state", "trace_id")

    def __init__(self, trace_id: str, span_id: str, parent_id: str = "", flags: int = 0, state: str = "") -> None:
        self.trace_id = trace_id
        self.span_id = span_id
        self.parent_id = parent_id
        self.flags = flags
        self.state = state
        self.batch: TraceContext | None = None

    @property
    def is_sampled(self) -> bool:
        return bool(self.flags & SAMPLED)

    @property
    def traceparent(self) -> str:
        """What is told to whoever goes on with the work, or is told of it."""
        return f"00-{self.trace_id}-{self.span_id}-{self.flags:02x}"


current: ContextVar[TraceContext | None] = ContextVar("trace", default=None)
"""That of the work that is done now: of a request, or of a task of Celery."""


def continued(traceparent: str | None, tracestate: str | None = None) -> TraceContext:
    """A span of the trace that a caller names, or of a new one where it names none that is valid."""
    if traceparent is not None and (found := _parsed(traceparent)) is not None:
        trace_id, parent_id, flags = found
        state = tracestate if tracestate and _is_state(tracestate) else ""
        return TraceContext(trace_id, span_id(), parent_id, flags, state)
    # both ids out of one number: 0.4 µs, which every request pays
    ids = f"{random.getrandbits(192):048x}"
    trace_id, own = ids[:32], ids[32:]
    if trace_id == _NO_TRACE or own == _NO_SPAN:
        return continued(None)
    return TraceContext(trace_id, own, "", RANDOM | SAMPLED if sampler.wants(trace_id) else RANDOM)


def below(outer: TraceContext | None) -> TraceContext:
    """A span below another one of this process; of a new trace where there is none."""
    if outer is None:
        return continued(None)
    return TraceContext(outer.trace_id, span_id(), outer.span_id, outer.flags, outer.state)


def told(traceparent: str, tracestate: str) -> TraceContext:
    """The span that we have told of before, by its `traceparent`."""
    _, trace_id, own, flags = traceparent.split("-")
    return TraceContext(trace_id, own, "", int(flags, 16), tracestate)


def traced() -> TraceContext | None:
    """That of the present work, if there is anything to be found under it: its caller traces, or we keep it."""
    trace = current.get()
    return trace if trace is not None and (trace.parent_id or trace.is_sampled) else None


def span_id() -> str:
    """The id of a new span."""
    return f"{random.getrandbits(64) or 1:016x}"


def _parsed(traceparent: str) -> tuple[str, str, int] | None:
    """The trace id, the span id and the flags; None for what is not valid."""
    match = _TRACEPARENT.fullmatch(traceparent)
    if match is None:
        return None
    version, trace_id, parent_id, flags, rest = match.groups()
    if version == "ff" or (version == "00" and rest is not None) or trace_id == _NO_TRACE or parent_id == _NO_SPAN:
        return None
    return trace_id, parent_id, int(flags, 16) & (SAMPLED | RANDOM)


def _is_state(text: str) -> bool:
    """Whether a tracestate is valid, and not longer than everybody has to pass on."""
    if len(text) > MAX_STATE_CHARACTERS:
        return False
    members = [member for part in text.split(",") if (member := part.strip(" \t"))]
    matches = [_MEMBER.fullmatch(member) for member in members]
    keys = {match["key"] for match in matches if match is not None}
    return 0 < len(keys) == len(members) <= MAX_STATE_MEMBERS
