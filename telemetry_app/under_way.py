"""What telemetry knows of the request under way, wherever its work is done: its ids, and what it asked of databases."""

from contextvars import ContextVar
from dataclasses import dataclass

from telemetry_app.tracing.context import TraceContext


# not frozen: it is counted in; made for each request
@dataclass(slots=True)
class UnderWay:
    """One request. `query_seconds` is how long its `queries` took together; commits of the writer are nobody's own."""

    request_id: str
    trace: TraceContext
    session_id: str = ""
    queries: int = 0
    query_seconds: float = 0.0


under_way: ContextVar[UnderWay | None] = ContextVar("under_way", default=None)
"""The request that the present task or thread works for; None, for none."""
