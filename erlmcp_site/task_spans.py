"""A span for each task of Celery."""

import time
from collections.abc import Iterator
from contextlib import contextmanager

from audit_app.breaker import PartAway
from telemetry_app.tracing.context import continued, current
from telemetry_app.tracing.spans import Kind, Span
from telemetry_app.tracing.tracer import tracer


@contextmanager
def task_span(name: str) -> Iterator[None]:
    """Around a task, whose log lines and commits are of its trace.

    It is kept by the ratio, or if it failed or was slow. A part that is away is no failure: a later run does the work.
    """
    trace = continued(None)
    outside = current.set(trace)
    started, began = time.time_ns(), time.perf_counter()
    failure = ""
    try:
        yield
    except Exception as error:
        if not isinstance(error, PartAway):
            failure = type(error).__name__
        raise
    finally:
        current.reset(outside)
        seconds = time.perf_counter() - began
        if tracer.keeps(trace, seconds, has_failed=bool(failure)):
            tracer.hand(
                Span(
                    trace=trace,
                    name=f"process {name}",
                    kind=Kind.CONSUMER,
                    start=started,
                    end=started + round(seconds * 1e9),
                    attributes={
                        "messaging.system": "celery",
                        "messaging.operation.name": "process",
                        "messaging.operation.type": "process",
                        "erlmcp.task": name,
                        "error.type": failure,
                    },
                    error=failure or None,
                )
            )
