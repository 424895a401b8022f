"""How long requests took: as a whole by method, and in each stage; a histogram that costs every request little.

prometheus-client's own takes two locks and seven calls for each stage: 5 µs a request, this one 1.5. Each method on
each transport with each stage would be thousands of series: the whole walk is told by method, and the stages are not.
"""

import time
from bisect import bisect_left
from collections.abc import Iterable
from itertools import accumulate

from prometheus_client.core import Exemplar, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector
from prometheus_client.utils import floatToGoString

BOUNDS = (0.001, 0.005, 0.025, 0.1, 0.5, 2.5, float("inf"))
"""Few, as each is a series of every method on every transport; close to each other where most answers are."""

LABELS = ("transport", "method", "stage")

WHOLE = "total"
"""The stage that is all of them together."""

ANY = "all"
"""The method that is all of them together."""


class Durations:
    """Of one series. To be added to in one thread: a lock would cost more than the adding."""

    __slots__ = ("counts", "exemplars", "sum")

    def __init__(self) -> None:
        self.counts = [0] * len(BOUNDS)
        self.sum = 0.0
        self.exemplars: dict[int, Exemplar] = {}

    def add(self, seconds: float) -> None:
        self.counts[bisect_left(BOUNDS, seconds)] += 1
        self.sum += seconds

    def exemplify(self, seconds: float, trace_id: str) -> None:
        """Have a trace stand for its bucket until there is a later one."""
        self.exemplars[bisect_left(BOUNDS, seconds)] = Exemplar({"trace_id": trace_id}, seconds, time.time())


class StageSeconds(Collector):
    """The durations of all methods and stages, as the registry shows them."""

    def __init__(self, name: str, documentation: str) -> None:
        self._name = name
        self._documentation = documentation
        self._of: dict[tuple[str, str, str], Durations] = {}

    def of(self, transport: str, method: str, stage: str) -> Durations:
        return self._of.setdefault((transport, method, stage), Durations())

    def collect(self) -> Iterable[Metric]:
        family = HistogramMetricFamily(self._name, self._documentation, labels=LABELS)
        for key, durations in list(self._of.items()):
            labels = dict(zip(LABELS, key, strict=True))
            counts = list(accumulate(durations.counts))
            for number, (bound, count) in enumerate(zip(_LE, counts, strict=True)):
                exemplar = durations.exemplars.get(number)
                family.add_sample(f"{self._name}_bucket", {**labels, "le": bound}, count, exemplar=exemplar)
            family.add_sample(f"{self._name}_count", labels, counts[-1])
            family.add_sample(f"{self._name}_sum", labels, durations.sum)
        yield family


class Stages(dict[str, Durations]):
    """Of one transport, by stage."""

    def __init__(self, seconds: StageSeconds, transport: str) -> None:
        self._seconds = seconds
        self._transport = transport

    def add(self, stages: Iterable[tuple[str, float]]) -> float:
        """Add the seconds of each stage; returns those of all together."""
        total = 0.0
        for stage, seconds in stages:
            # as Durations.add, whose call for each of five stages would cost a third of it all
            durations = self[stage]
            durations.counts[bisect_left(BOUNDS, seconds)] += 1
            durations.sum += seconds
            total += seconds
        return total

    def __missing__(self, stage: str) -> Durations:
        durations = self[stage] = self._seconds.of(self._transport, ANY, str(stage))
        return durations


_LE = tuple(map(floatToGoString, BOUNDS))
