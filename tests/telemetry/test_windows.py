"""Rates and percentiles of the last minute."""

import pytest

from telemetry_app.state import State, merge
from telemetry_app.windows import STEP_SECONDS, WINDOW_SECONDS, History, Window, quantile

READS = ("erlmcp_requests_total", (("transport", "rest"), ("method", "resources/read"), ("outcome", "success")))
WRITES = ("erlmcp_requests_total", (("transport", "grpc"), ("method", "resources/write"), ("outcome", "success")))
FOLLOWERS = ("erlmcp_followers", ())


def test_a_rate_is_what_came_a_second_over_at_most_the_window():
    history = History()
    states = [State(1000.0 + second, {READS: 10.0 * second}) for second in range(200)]
    for state in states:
        history.add(state)
    assert states[0].rates == {}
    assert states[30].rates == {READS: 10.0}
    assert Window(states[-1]).rate("erlmcp_requests_total") == 10.0

    burst = State(1200.0, {READS: 1990.0 + 5000.0})
    history.add(burst)
    rate = Window(burst).rate("erlmcp_requests_total", method="resources/read")
    assert 5000 / (WINDOW_SECONDS + STEP_SECONDS) < rate <= 10 + 5000 / WINDOW_SECONDS


def test_what_was_not_there_began_at_nothing_and_a_clock_set_back_begins_anew():
    history, fresh, back = History(), State(12.0, {READS: 8.0}), State(5.0, {READS: 9.0})
    history.add(State(10.0, {}))
    history.add(fresh)
    assert fresh.rates == {READS: 4.0}
    history.add(back)
    assert back.rates == {}


def test_gauges_have_no_rate():
    history, later = History(), State(2.0, {FOLLOWERS: 7.0})
    history.add(State(1.0, {FOLLOWERS: 3.0}))
    history.add(later)
    assert later.rates == {}
    assert Window(later).value("erlmcp_followers") == 7.0


def test_figures_are_grouped_by_a_label_and_summed_over_processes():
    window = Window(
        merge(
            [
                State(1.0, {READS: 5.0, FOLLOWERS: 1.0}, rates={READS: 2.0}),
                State(2.0, {READS: 1.0, WRITES: 4.0, FOLLOWERS: 2.0}, rates={READS: 1.0, WRITES: 4.0}),
            ]
        )
    )
    assert window.at == 2.0
    assert window.value("erlmcp_followers") == 3.0
    assert window.values("erlmcp_requests_total", by="method") == {"resources/read": 6.0, "resources/write": 4.0}
    assert window.rates("erlmcp_requests_total", by="transport") == {"rest": 3.0, "grpc": 4.0}
    assert window.rate("erlmcp_requests_total", transport="mcp") == 0.0


def test_a_percentile_is_of_the_window_alone():
    def bucket(le: str) -> tuple[str, tuple[tuple[str, str], ...]]:
        return ("erlmcp_commit_seconds_bucket", (("le", le),))

    history = History()
    history.add(State(0.0, {bucket("0.01"): 500.0, bucket("0.1"): 500.0, bucket("+Inf"): 500.0}))
    later = State(10.0, {bucket("0.01"): 500.0, bucket("0.1"): 600.0, bucket("+Inf"): 600.0})
    history.add(later)
    assert Window(later).percentile("erlmcp_commit_seconds", 0.5) == pytest.approx(0.055)
    assert Window(later).percentile("erlmcp_delivery_lag_seconds", 0.5) is None


@pytest.mark.parametrize(("share", "found"), [(0.0, 0.0), (0.25, 0.5), (0.5, 1.0), (0.75, 2.0), (0.9, 2.0), (1.0, 2.0)])
def test_quantiles_are_spread_evenly_within_a_bucket_and_end_with_the_last_bound(share: float, found: float):
    assert quantile({1.0: 50.0, 2.0: 75.0, float("inf"): 100.0}, share) == pytest.approx(found)


def test_nothing_has_no_quantile():
    assert quantile({}, 0.5) is None
    assert quantile({1.0: 0.0, float("inf"): 0.0}, 0.5) is None
