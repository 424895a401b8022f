"""Figures in words, as the live view and `manage.py top` show them: a few panels of names and values."""

from collections.abc import Iterable, Mapping
from typing import Any

Figures = Mapping[str, Any]
Row = tuple[str, str]

MEBIBYTE = 1024 * 1024


def panels(figures: Figures) -> Iterable[tuple[str, list[Row]]]:
    """Titles with their rows; what belongs to the row above begins with two spaces."""
    sessions = sorted(figures["sessions"].items())
    yield (
        "now",
        [
            *((f"sessions {state}", count(number)) for state, number in sessions if number or state == "active"),
            ("followers", count(figures["followers"])),
            ("subscriptions", count(figures["subscriptions"])),
            ("  lost their place", count(figures["subscriptions_lost"])),
            ("log", f"{count(figures['log_earliest'])} – {count(figures['log_head'])}"),
        ],
    )
    yield (
        "a second",
        [
            ("requests", _rate(figures["requests_per_second"])),
            ("  refused", _rate(figures["refusals_per_second"])),
            ("  failed", _rate(figures["errors_per_second"])),
            ("events", _rate(figures["events_per_second"])),
            ("deliveries", _rate(figures["deliveries_per_second"])),
        ],
    )
    yield (
        "ms at p50 / p95 / p99",
        [
            ("requests", _times(figures["request_seconds"])),
            ("delivery lag", _times(figures["delivery_lag_seconds"])),
            ("commits", _times(figures["commit_seconds"])),
        ],
    )
    yield (
        "waiting",
        [
            ("for the writer", count(figures["writer_waiting"])),
            *((f"for the trail: {queue}", count(number)) for queue, number in figures["audit_pending"].items()),
            ("  the longest", age(figures["audit_lag_seconds"])),
            *((f"for sink {sink}", age(seconds)) for sink, seconds in figures["sink_lag_seconds"].items()),
        ],
    )
    yield (
        "parts",
        [
            *((f"cache {cache}", f"{ratio:.0%}") for cache, ratio in figures["cache_hit_ratios"].items()),
            ("left alone", ", ".join(figures["breakers_open"]) or "none"),
            ("CPU of the machine", f"{figures['cpu_ratio']:.0%}"),
            ("memory of the node", f"{figures['memory_bytes'] / MEBIBYTE:,.0f} MiB"),
        ],
    )


def count(number: float) -> str:
    """A number of things."""
    return f"{number:,.0f}"


def _rate(number: float) -> str:
    return f"{number:,.1f}"


def _times(shares: Figures) -> str:
    return " / ".join(map(_milliseconds, shares.values()))


def _milliseconds(seconds: float | None) -> str:
    if seconds is None:
        return "–"
    return f"{seconds * 1000:,.0f}" if seconds >= 0.1 else f"{seconds * 1000:.2g}"


def age(seconds: float) -> str:
    """For how long something waits."""
    return f"{seconds:,.0f} s"
