"""A span for each batch of the writer, with links to the requests and tasks whose work is in it."""

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Protocol, TypeGuard

from django.db import connections

from audit_app.errors import Refusal
from telemetry_app.tracing.context import SAMPLED, TraceContext, continued, current
from telemetry_app.tracing.spans import Kind, Span
from telemetry_app.tracing.tracer import tracer

MAX_LINKS = 128


class Item(Protocol):
    """What is asked of an item of a batch: who gave it, and what has become of it."""

    trace: TraceContext | None
    error: BaseException | None


@contextmanager
def batch_span(items: Sequence[Item], using: str) -> Iterator[None]:
    """Around the commit of a batch into a database, retries included. Those whose work is in it know its span then.

    It is kept where one of them is, where one of them failed, or when it was slow.
    """
    if not tracer.is_on:
        yield
        return
    traces = [item.trace for item in items if item.trace is not None]
    sampled = [trace for trace in traces if trace.flags & SAMPLED]
    own = continued(None)
    own.flags |= SAMPLED if sampled else 0
    outside = current.set(own)
    started, began = time.time_ns(), time.perf_counter()
    try:
        yield
    finally:
        current.reset(outside)
        seconds = time.perf_counter() - began
        failure = next((item.error.code for item in items if _is_failure(item.error)), None)
        if tracer.keeps(own, seconds, has_failed=failure is not None):
            for trace in traces:
                trace.batch = own
            tracer.hand(
                Span(
                    trace=own,
                    name="commit",
                    kind=Kind.INTERNAL,
                    start=started,
                    end=started + round(seconds * 1e9),
                    attributes={
                        "db.system.name": connections[using].vendor,
                        "db.operation.batch.size": len(items),
                        "error.type": failure or "",
                    },
                    links=(sampled or traces)[:MAX_LINKS],
                    error=failure,
                )
            )


def _is_failure(error: BaseException | None) -> TypeGuard[Refusal]:
    return isinstance(error, Refusal) and error.outcome == "error"
