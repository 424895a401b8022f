"""Every metric is described, and there are not too many series of them."""

from pathlib import Path

from prometheus_client import REGISTRY

from erlmcp_site.methods import catalogue as of_methods
from erlmcp_site.methods.table import METHODS
from erlmcp_site.pipeline.messages import UNKNOWN
from erlmcp_site.pipeline.stages import NEXT, Stage
from erlmcp_site.transports.grpc.rpcs import RPCS
from erlmcp_site.transports.wire import ROWS
from telemetry_app.catalogue import CATALOGUE
from telemetry_app.page import page
from telemetry_app.stages import StageSeconds

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs" / "telemetry.md"
SITE = ROOT / "erlmcp_site"

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
    """All methods on all transports that have them, with all outcomes and stages, and what else there may be."""
    own = StageSeconds("seconds", "Time.")
    called = called_over()
    for transport, methods in called.items():
        for stage in (stage for stage in Stage if NEXT[stage]):
            # nothing follows the last one, so it has no duration
            own.of(transport, "all", stage)
        for method in methods:
            own.of(transport, method, "total")
    walks = sum(len(family.samples) for family in own.collect())
    requests = sum(len(methods) for methods in called.values()) * len(("success", "refused", "error"))
    errors = len(ROWS)
    others = sum(_most(told.name) for told in CATALOGUE.values() if told.name not in BY_METHOD)
    print(f"{walks=} {requests=} {errors=} {others=}")  # noqa: T201
    assert walks + requests + errors + others < 3000


def called_over() -> dict[str, set[str]]:
    """What requests of each transport may be counted as: the methods that it has, and what none has understood.

    A socket takes any name of the table; the others have addresses, procedures, pages or tools of their own.
    """
    assert of_methods.FAMILIES
    methods = {
        "rest": _named_in("transports/rest"),
        "sse": _named_in("transports/sse"),
        "websocket": set(METHODS),
        "grpc": {rpc.method for rpc in RPCS.values()},
        "mcp": _named_in("transports/mcp") | _named_in("methods/tools"),
        "admin": _named_in("admin"),
    }
    return {transport: names | {UNKNOWN} for transport, names in methods.items()}


def _named_in(folder: str) -> set[str]:
    """The methods that the code of a transport names."""
    code = "".join(path.read_text() for path in (SITE / folder).rglob("*.py"))
    return {name for name in METHODS if f'"{name}"' in code}


def test_every_method_is_counted_on_the_transports_that_have_addresses_for_it():
    called = called_over()
    assert called["rest"] == called["grpc"] - {"events/stream"}
    assert called["sse"] == {"events/stream", UNKNOWN}
    assert len(called["admin"]) > 1


BY_METHOD = {"erlmcp_requests_total", "erlmcp_request_seconds", "erlmcp_errors_total"}

VALUES = {
    "cache": 8,
    "part": 11,
    "sink": 8,
    "state": 6,
    "transport": 6,
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
