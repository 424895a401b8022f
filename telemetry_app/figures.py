"""What people look at first, computed from a window: the same figures for the snapshot, the live view and `top`."""

from typing import Any

from telemetry_app.stages import WHOLE
from telemetry_app.windows import WINDOW_SECONDS, Window

SHARES = {"p50": 0.5, "p95": 0.95, "p99": 0.99}


def figures(window: Window) -> dict[str, Any]:
    """Rates are a second, over the last `window_seconds`; a percentile is None when nothing happened meanwhile."""
    requests = window.rates("erlmcp_requests_total", by="outcome")
    return {
        "window_seconds": WINDOW_SECONDS,
        "requests_per_second": sum(requests.values()),
        "errors_per_second": requests.get("error", 0.0),
        "refusals_per_second": requests.get("refused", 0.0),
        "events_per_second": window.rate("erlmcp_events_total"),
        "deliveries_per_second": window.rate("erlmcp_deliveries_total"),
        "request_seconds": _percentiles(window, "erlmcp_request_seconds", stage=WHOLE),
        "delivery_lag_seconds": _percentiles(window, "erlmcp_delivery_lag_seconds"),
        "commit_seconds": _percentiles(window, "erlmcp_commit_seconds"),
        "sessions": window.values("erlmcp_sessions", by="state"),
        "followers": window.value("erlmcp_followers"),
        "subscriptions": window.value("erlmcp_subscriptions"),
        "subscriptions_lost": window.value("erlmcp_subscriptions_lost"),
        "log_head": window.value("erlmcp_log_head"),
        "log_earliest": window.value("erlmcp_log_earliest"),
        "writer_waiting": window.value("erlmcp_writer_waiting"),
        "audit_pending": window.values("erlmcp_audit_pending", by="queue"),
        "audit_lag_seconds": max(window.values("erlmcp_audit_lag_seconds", by="queue").values(), default=0.0),
        "sink_lag_seconds": window.values("erlmcp_sink_lag_seconds", by="sink"),
        "cache_hit_ratios": _hit_ratios(window),
        "breakers_open": sorted(
            part for part, is_open in window.values("erlmcp_breaker_open", by="part").items() if is_open
        ),
        "cpu_ratio": window.value("erlmcp_system_cpu_ratio"),
        "memory_bytes": window.value("erlmcp_system_memory_bytes"),
    }


def _percentiles(window: Window, name: str, **labels: str) -> dict[str, float | None]:
    return {name_of: window.percentile(name, share, **labels) for name_of, share in SHARES.items()}


def _hit_ratios(window: Window) -> dict[str, float]:
    """Of each cache that was asked lately."""
    asked = window.rates("erlmcp_cache_requests_total", by="cache")
    hits = window.rates("erlmcp_cache_requests_total", by="cache", result="hit")
    return {cache: hits.get(cache, 0.0) / rate for cache, rate in sorted(asked.items()) if rate}
