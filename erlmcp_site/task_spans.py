"""A span for each task of Celery, below that of the message which asked for it."""

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from celery import Celery

from audit_app.breaker import PartAway
from telemetry_app.tracing.context import TraceContext, below, continued, current
from telemetry_app.tracing.spans import Kind, Span
from telemetry_app.tracing.tracer import tracer

TRACEPARENT, TRACESTATE = "traceparent", "tracestate"
"""The headers of a message that name the span it was sent in."""


class TracingCelery(Celery):
    """Celery whose messages name the span that they are sent in: it goes on in the task, in another process."""

    def send_task(self, name: str, *args: Any, **options: Any) -> Any:
        """As Celery's own, which everything that starts a task comes to."""
        with _span(f"send {name}", Kind.PRODUCER, below(current.get()), name) as trace:
            told = {TRACEPARENT: trace.traceparent} | ({TRACESTATE: trace.state} if trace.state else {})
            return super().send_task(name, *args, **{**options, "headers": {**(options.get("headers") or {}), **told}})


@contextmanager
def task_span(name: str, message: Mapping[str, Any]) -> Iterator[None]:
    """Around a task, whose log lines and commits are of its trace: that of its message's headers, or a new one.

    It is kept where that is, or if it failed or was slow. A part that is away is no failure: a later run does the work.
    """
    trace = continued(_text(message.get(TRACEPARENT)), _text(message.get(TRACESTATE)))
    with _span(f"process {name}", Kind.CONSUMER, trace, name):
        yield


@contextmanager
def _span(title: str, kind: Kind, trace: TraceContext, task: str) -> Iterator[TraceContext]:
    outside = current.set(trace)
    started, began = time.time_ns(), time.perf_counter()
    failure = ""
    try:
        yield trace
    except Exception as error:
        if not isinstance(error, PartAway):
            failure = type(error).__name__
        raise
    finally:
        current.reset(outside)
        seconds = time.perf_counter() - began
        if tracer.keeps(trace, seconds, has_failed=bool(failure)):
            operation = title.partition(" ")[0]
            tracer.hand(
                Span(
                    trace=trace,
                    name=title,
                    kind=kind,
                    start=started,
                    end=started + round(seconds * 1e9),
                    attributes={
                        "messaging.system": "celery",
                        "messaging.operation.name": operation,
                        "messaging.operation.type": operation,
                        "erlmcp.task": task,
                        "error.type": failure,
                    },
                    error=failure or None,
                    has_remote_parent=kind is Kind.CONSUMER and bool(trace.parent_id),
                )
            )


def _text(header: object) -> str | None:
    """What a message says, which another program may have written."""
    return header if isinstance(header, str) else None
