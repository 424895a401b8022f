"""Our own counters and histograms show what prometheus_client's do."""

from prometheus_client import CollectorRegistry, Counter, Histogram
from prometheus_client.openmetrics.exposition import generate_latest

from telemetry_app.tallies import Spread, Tallies

BUCKETS = (0.5, 1, 2.5)
VALUES = (0.0, 0.5, 0.7, 1, 2.5, 3, 1e9)


def exposed(registry: CollectorRegistry) -> str:
    return str(generate_latest(registry), "utf-8")


def test_tallies_are_a_counter() -> None:
    ours, theirs = CollectorRegistry(), CollectorRegistry()
    tallies = Tallies("looked_total", "Looked.", ["cache", "result"], ours)
    counter = Counter("looked_total", "Looked.", ["cache", "result"], registry=theirs)
    for result, times in (("hit", 3), ("miss", 1), ("error", 0)):
        for labelled in (tallies.labels("a", result), counter.labels("a", result)):
            for _ in range(times):
                labelled.inc()
    assert exposed(ours) == exposed(theirs)


def test_a_spread_is_a_histogram() -> None:
    ours, theirs = CollectorRegistry(), CollectorRegistry()
    spread = Spread("took_seconds", "Took.", BUCKETS, ours)
    histogram = Histogram("took_seconds", "Took.", buckets=BUCKETS, registry=theirs)
    assert exposed(ours) == exposed(theirs)
    for value in VALUES:
        spread.observe(value)
        histogram.observe(value)
    assert exposed(ours) == exposed(theirs)
