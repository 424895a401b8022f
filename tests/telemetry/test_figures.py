"""What people look at first, from a window to words, in a terminal of any size."""

import io

import pytest
from rich.console import Console

from erlmcp_site.management.top.frame import frame
from telemetry_app.figures import figures
from telemetry_app.panels import panels
from telemetry_app.state import Key, State
from telemetry_app.windows import Window

HEALTH = {
    "status": "failed",
    "checks": {"log": {"status": "failed", "detail": "[red]9 events behind", "milliseconds": 1}},
}
TOPIC = {
    "uri": "resource://demo.local/[b]/" + "x" * 200,
    "followers": 1200,
    "behind": 3,
    "waiting_seconds": 4.2,
    "cut": 7,
}


def key(name: str, **labels: str) -> Key:
    return (f"erlmcp_{name}", tuple(labels.items()))


@pytest.fixture
def state() -> State:
    return State(
        1000.0,
        samples={
            key("sessions", state="active"): 12,
            key("sessions", state="suspended"): 3,
            key("followers"): 1200,
            key("log_head"): 5000,
            key("audit_pending", queue="data"): 40,
            key("audit_lag_seconds", queue="data"): 2.5,
            key("audit_lag_seconds", queue="security"): 0.5,
            key("sink_lag_seconds", sink="siem"): 90,
            key("breaker_open", part="ring"): 1,
            key("breaker_open", part="cache"): 0,
            key("delivery_lag_seconds_bucket", le="0.01"): 5,
            key("delivery_lag_seconds_bucket", le="0.1"): 10,
            key("delivery_lag_seconds_bucket", le="+Inf"): 10,
        },
        rates={
            key("requests_total", transport="rest", method="resources/read", outcome="success"): 90.0,
            key("requests_total", transport="rest", method="resources/read", outcome="refused"): 8.0,
            key("requests_total", transport="grpc", method="resources/write", outcome="error"): 2.0,
            key("deliveries_total", transport="sse"): 700.0,
            key("cache_requests_total", cache="resources", result="hit"): 75.0,
            key("cache_requests_total", cache="resources", result="miss"): 25.0,
            key("delivery_lag_seconds_bucket", le="0.01"): 0.5,
            key("delivery_lag_seconds_bucket", le="0.1"): 1.0,
            key("delivery_lag_seconds_bucket", le="+Inf"): 1.0,
        },
    )


def test_figures_are_rates_percentiles_and_what_there_is(state: State) -> None:
    found = figures(Window(state))
    assert (found["requests_per_second"], found["refusals_per_second"], found["errors_per_second"]) == (100, 8, 2)
    assert (found["deliveries_per_second"], found["events_per_second"]) == (700, 0)
    assert found["sessions"] == {"active": 12, "suspended": 3}
    assert found["delivery_lag_seconds"] == pytest.approx({"p50": 0.01, "p95": 0.091, "p99": 0.0982})
    assert found["commit_seconds"] == {"p50": None, "p95": None, "p99": None}
    assert found["cache_hit_ratios"] == {"resources": 0.75}
    assert found["breakers_open"] == ["ring"]
    assert (found["audit_pending"], found["audit_lag_seconds"]) == ({"data": 40}, 2.5)


def test_panels_say_the_same_in_words(state: State) -> None:
    rows = dict(row for _, rows in panels(figures(Window(state))) for row in rows)
    assert rows["followers"] == "1,200"
    assert rows["requests"] == "– / – / –"
    assert rows["delivery lag"] == "10 / 91 / 98"
    assert rows["for sink siem"] == "90 s"
    assert rows["left alone"] == "ring"
    assert rows["cache resources"] == "75%"


@pytest.mark.parametrize("width", [200, 80, 40, 20])
def test_a_frame_fits_a_terminal_and_takes_nothing_for_markup(state: State, width: int) -> None:
    snapshot = {"health": HEALTH, "figures": figures(Window(state)), "slow_topics": [TOPIC]}
    console = Console(file=io.StringIO(), width=width)
    console.print(frame("http://127.0.0.1:8000", snapshot, "no answer for 3 s"))
    assert isinstance(console.file, io.StringIO)
    text = console.file.getvalue()
    assert max(map(len, text.splitlines())) <= width
    assert "\x1b" not in text
    told = " ".join(text.split())
    assert "not ready" in told and "no answer for 3 s" in told and "[red]9 events behind" in told
    assert width < 40 or "1,200" in told


def test_nothing_slow_is_said_in_words(state: State) -> None:
    console = Console(file=io.StringIO(), width=80)
    console.print(frame("http://x", {"health": HEALTH, "figures": figures(Window(State(1.0))), "slow_topics": []}))
    assert isinstance(console.file, io.StringIO)
    assert "no slow topics" in console.file.getvalue()
