"""Rates and percentiles over the last minute: what people look at, computed from what only grows.

    window = await reporter.look()                          # telemetry_app.reporter; of the whole node
    window.rate("erlmcp_requests_total", outcome="error")   # a second
    window.rates("erlmcp_requests_total", by="method")      # {method: a second}
    window.percentile("erlmcp_request_seconds", 0.99, stage="total", transport="rest")
    window.value("erlmcp_followers"); window.values("erlmcp_sessions", by="state")

Names are those of docs/telemetry.md; labels that are not given are summed over.
"""

from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from itertools import pairwise

from telemetry_app.catalogue import BY_SAMPLE, Description
from telemetry_app.state import Key, Labels, State

WINDOW_SECONDS = 60.0
STEP_SECONDS = 5.0
"""How far the moments lie apart that are remembered; a window is longer than it should be by so much at most."""


class History:
    """The bounded buffer of one process: its counters, every few seconds, as far back as a window reaches."""

    def __init__(self) -> None:
        self._past: deque[State] = deque(maxlen=int(WINDOW_SECONDS / STEP_SECONDS) + 1)

    def add(self, state: State) -> None:
        """Give a state its rates, and remember it. States come in their order; a clock set back begins anew."""
        past = self._past
        if past and state.at < past[-1].at:
            past.clear()
        while len(past) > 1 and state.at - past[1].at >= WINDOW_SECONDS:
            past.popleft()
        if past:
            state.rates = _rates(past[0], state)
        if not past or state.at - past[-1].at >= STEP_SECONDS:
            counted = {key: value for key, value in state.samples.items() if BY_SAMPLE[key[0]].kind != "gauge"}
            past.append(State(state.at, counted))


class Window:
    """Questions to a state, of a process or of a node. Rates are a second; 0 for what is not there."""

    def __init__(self, state: State) -> None:
        self.state = state

    @property
    def at(self) -> float:
        """The moment that is told of, as Unix time."""
        return self.state.at

    def value(self, name: str, **labels: str) -> float:
        """How much there is now, or has been counted so far."""
        return sum(value for _, _, value in _matching(self.state.samples, name, labels))

    def values(self, name: str, *, by: str, **labels: str) -> dict[str, float]:
        """The same for each value of one label."""
        return _grouped(self.state.samples, name, by, labels)

    def rate(self, name: str, **labels: str) -> float:
        """By how much a counter grew, or how many times a histogram (`…_count`) was added to, a second."""
        return sum(rate for _, _, rate in _matching(self.state.rates, name, labels))

    def rates(self, name: str, *, by: str, **labels: str) -> dict[str, float]:
        """The same for each value of one label."""
        return _grouped(self.state.rates, name, by, labels)

    def percentile(self, name: str, share: float, **labels: str) -> float | None:
        """Below which value `share` (0 to 1) of what a histogram was given lately lies; None when that is nothing.

        As Prometheus' histogram_quantile has it: evenly spread within a bucket, and no more than the last bound.
        """
        buckets: dict[float, float] = {}
        for key, found, _ in _matching(self.state.samples, f"{name}_bucket", labels):
            bound = float(found["le"])
            buckets[bound] = buckets.get(bound, 0.0) + self.state.rates.get(key, 0.0)
        return quantile(buckets, share)

    def mean(self, name: str, **labels: str) -> float | None:
        """What a histogram was given lately, on average; None when that is nothing."""
        count = self.rate(f"{name}_count", **labels)
        return self.rate(f"{name}_sum", **labels) / count if count else None


def quantile(buckets: Mapping[float, float], share: float) -> float | None:
    """See Window.percentile. `buckets` holds, by upper bound, how many lie at or below it."""
    bounds = sorted(buckets)
    if not bounds or buckets[bounds[-1]] <= 0:
        return None
    rank = share * buckets[bounds[-1]]
    for below, bound in pairwise([0.0, *bounds]):
        if buckets[bound] >= rank:
            if bound == float("inf"):
                return below
            under = buckets.get(below, 0.0)
            inside = buckets[bound] - under
            return below + (bound - below) * ((rank - under) / inside if inside else 1.0)
    return bounds[-1]


def histograms(
    values: Mapping[Key, float], samples: Iterable[Key]
) -> Iterator[tuple[Description, Labels, dict[float, float]]]:
    """Each histogram among some samples: what it is, its labels, and by upper bound what `values` has below that."""
    found: dict[Key, dict[float, float]] = {}
    for key in samples:
        sample, labels = key
        if sample.endswith("_bucket"):
            bound = float(labels[-1][1])
            found.setdefault((sample, labels[:-1]), {})[bound] = values.get(key, 0.0)
    for (sample, labels), buckets in found.items():
        yield BY_SAMPLE[sample], labels, buckets


def _rates(then: State, now: State) -> dict[Key, float]:
    """What has grown, by how much a second; a sample that was not there began at 0."""
    seconds = now.at - then.at
    if seconds <= 0:
        return {}
    before = then.samples
    return {
        key: (value - before.get(key, 0.0)) / seconds
        for key, value in now.samples.items()
        if BY_SAMPLE[key[0]].kind != "gauge" and value > before.get(key, 0.0)
    }


def _matching(
    samples: Mapping[Key, float], name: str, labels: Mapping[str, str]
) -> Iterator[tuple[Key, Mapping[str, str], float]]:
    wanted = labels.items()
    for key, value in samples.items():
        if key[0] == name:
            found = dict(key[1])
            if wanted <= found.items():
                yield key, found, value


def _grouped(samples: Mapping[Key, float], name: str, by: str, labels: Mapping[str, str]) -> dict[str, float]:
    groups: dict[str, float] = {}
    for _, found, value in _matching(samples, name, labels):
        group = found.get(by, "")
        groups[group] = groups.get(group, 0.0) + value
    return groups
