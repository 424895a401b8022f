"""Every metric is described, and there are not too many series of them."""

from pathlib import Path

from prometheus_client import REGISTRY

from erlmcp_site.methods import catalogue as of_methods
from erlmcp_site.methods.table import METHODS
from erlmcp_site.pipeline.stages import NEXT, Stage
from erlmcp_site.transports.wire import ROWS
from telemetry_app.catalogue import CATALOGUE
from telemetry_app.page import page
from telemetry_app.stages import StageSeconds

PAGE = Path(__file__).resolve().parents[2] / "docs" / "telemetry.md"

FORBIDDEN = {"uri", "user", "session", "user_id", "session_id", "resource", "address", "topic", "path"}

CONTRACT = {
    "erlmcp_requests_total": {"transport", "method", "outcome"},
    "erlmcp_request_seconds": {"transport", "method", "stage"},
    "erlmcp_sessions": {"state"},
    "erlmcp_subscriptions": set(),
    "erlmcp_followers": set(),
    "erlmcp_events_total": {"type"},
    "erlmcp_deliveries_total": {"transport"},
    "erlmcp_delivery_lag_seconds": set(),
    "erlmcp_log_head": set(),
    "erlmcp_commit_batch_size": set(),
    "erlmcp_commit_seconds": set(),
    "erlmcp_audit_pending": {"queue"},
    "erlmcp_audit_lag_seconds": {"queue"},
    "erlmcp_sink_lag_seconds": {"sink"},
    "erlmcp_cache_requests_total": {"cache", "result"},
    "erlmcp_errors_total": {"category", "code"},
    "erlmcp_system_cpu_ratio": set(),
    "erlmcp_system_memory_bytes": set(),
    "erlmcp_system_disk_ratio": set(),
    "erlmcp_system_network_bytes_total": {"way"},
}


def test_the_page_has_every_metric_as_it_is():
    text = PAGE.read_text()
    assert page(text) == text, "python manage.py metrics --write"


def test_the_names_and_labels_of_the_contract_are_there():
    assert {name: set(CATALOGUE[name].labels) for name in CONTRACT} == CONTRACT


def test_whatever_is_registered_is_described():
    described = {told.family for told in CATALOGUE.values()}
    assert {metric.name for metric in REGISTRY.collect()} <= described


def test_no_metric_is_by_uri_user_or_session():
    assert {name for name, told in CATALOGUE.items() if set(told.labels) & FORBIDDEN} == set()


def test_series_stay_below_three_thousand_whatever_is_called():
    """All methods on all transports with all outcomes and stages, MCP included, and what else there may be."""
    transports = ("rest", "websocket", "sse", "grpc", "mcp")
    assert of_methods.FAMILIES
    own = StageSeconds("seconds", "Time.")
    for transport in transports:
        for stage in (stage for stage in Stage if NEXT[stage]):
            # nothing follows the last one, so it has no duration
            own.of(transport, "all", stage)
        if transport != "sse":
            for method in [*METHODS, "unknown"]:
                own.of(transport, method, "total")
    own.of("sse", "events/stream", "total")
    walks = sum(len(family.samples) for family in own.collect())
    requests = (4 * (len(METHODS) + 1) + 1) * 3
    errors = len(ROWS)
    others = sum(_most(told.name) for told in CATALOGUE.values() if told.name not in BY_METHOD)
    print(f"{walks=} {requests=} {errors=} {others=}")  # noqa: T201
    assert walks + requests + errors + others < 3000


BY_METHOD = {"erlmcp_requests_total", "erlmcp_request_seconds", "erlmcp_errors_total"}

VALUES = {
    "cache": 8,
    "part": 11,
    "sink": 8,
    "state": 6,
    "transport": 5,
    "check": 7,
    "what": 5,
    "queue": 3,
    "way": 2,
    "database": 2,
    "found_by": 2,
}
FEW = 4
"""How many values a label has, of those named above and of any other: eight sinks are many."""


def _most(name: str) -> int:
    """How many series there may be of a metric."""
    told = CATALOGUE[name]
    series = len(told.buckets) + 3 if told.kind == "histogram" else 1
    for label in told.labels:
        series *= VALUES.get(label, FEW)
    return series
