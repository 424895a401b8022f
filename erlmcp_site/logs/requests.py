"""One line a request, of every transport; what a slow one was slow at stands there, too.

The request pays for deciding whether there is one. The line is made by the thread that writes it.
"""

import logging
import re
import time
from collections.abc import Sequence
from typing import Any, Literal, NamedTuple

from django.conf import settings

from audit_app.redaction import redacted_text
from erlmcp_site.logs.lines import LineFormatter, process_id, utc
from erlmcp_site.logs.outflow import Outflow, standard_error
from erlmcp_site.logs.repeats import Repeats
from telemetry_app.under_way import UnderWay

log = logging.getLogger("erlmcp.requests")

Outcome = Literal["success", "refused", "error", "abandoned"]
OUR_ID = re.compile(r"[0-9a-f-]{36}")
"""Others are of the client's choice, and may hold anything."""

WRITTEN: dict[str, frozenset[Outcome]] = {
    "all": frozenset({"success", "refused", "error", "abandoned"}),
    "failed": frozenset({"refused", "error", "abandoned"}),
    "slow": frozenset({"error"}),
}
"""Of which outcomes there are lines, by LOG_REQUESTS, beside those of slow requests."""


class Kind(NamedTuple):
    """What counts as the same line: successes that are not slow always count as different."""

    transport: str
    method: str
    code: str


class RequestLines:
    """Writes the lines. Where refusals, failures or slow requests are many, some are left out and then counted."""

    def __init__(self, outflow: Outflow = standard_error) -> None:
        rate = settings.LOG_REFUSALS
        self._outflow = outflow
        self._repeats: Repeats[Kind] = Repeats(rate.amount, rate.seconds)
        self._line = LineFormatter(settings.LOG_FORMAT, colors=settings.ON_TERMINAL).line
        outflow.lookers.append(self._sum_up)

    def note(
        self,
        request: UnderWay,
        kind: Kind,
        outcome: Outcome,
        stages: Sequence[tuple[str, float]],
        *,
        may_wait: bool = False,
    ) -> None:
        """A request has come to an end, after so many seconds in each stage. One that `may_wait` is never slow."""
        written = WRITTEN.get(settings.LOG_REQUESTS)
        if written is None:
            return
        seconds = 0.0
        for _, took in stages:
            seconds += took
        is_slow = not may_wait and 0 < settings.SLOW_REQUEST_SECONDS <= seconds
        if not is_slow and outcome not in written:
            return
        level = logging.WARNING if is_slow or outcome == "error" else logging.INFO
        if not log.isEnabledFor(level) or ((is_slow or outcome != "success") and not self._repeats.admits(kind)):
            return
        slow_stages = stages if is_slow else None
        self._outflow.put(self._made, time.time(), level, request, kind, outcome, seconds, slow_stages)

    def _made(
        self,
        at: float,
        level: int,
        request: UnderWay,
        kind: Kind,
        outcome: Outcome,
        seconds: float,
        slow_stages: Sequence[tuple[str, float]] | None,
    ) -> str:
        id = request.request_id
        fields: dict[str, Any] = {
            "time": utc(at),
            "level": "info" if level == logging.INFO else "warning",
            "logger": log.name,
            "message": "request" if slow_stages is None else "slow request",
            "pid": process_id(),
            "request_id": id if OUR_ID.fullmatch(id) else redacted_text(id),
            "session_id": request.session_id,
            "trace_id": request.trace.trace_id,
            "span_id": request.trace.span_id,
            "transport": kind.transport,
            "method": kind.method,
            "outcome": outcome,
            "code": kind.code,
            "ms": milliseconds(seconds),
        }
        if slow_stages is not None:
            fields["stages"] = {str(stage): milliseconds(took) for stage, took in slow_stages}
            fields["queries"] = request.queries
            fields["query_ms"] = milliseconds(request.query_seconds)
        return self._line(fields)

    def _sum_up(self, is_last: bool) -> None:
        for kind, left_out in self._repeats.ended(all=is_last):
            named = kind._asdict() if kind is not None else {}
            self._outflow.put(
                self._line,
                {
                    "time": utc(time.time()),
                    "level": "warning",
                    "logger": log.name,
                    "message": f"{left_out} more requests were left out",
                    "pid": process_id(),
                    **named,
                    "left_out": left_out,
                },
            )


def milliseconds(seconds: float) -> float:
    """In milliseconds, to the microsecond."""
    return round(seconds * 1000, 3)


request_lines = RequestLines()
