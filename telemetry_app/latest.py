"""Gauges of what is the same for all processes, each with the moment at which this one has looked."""

import time
from collections.abc import Iterable, Sequence

from prometheus_client import REGISTRY
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector, CollectorRegistry


class Reading:
    """One sample, which is not there before it is set."""

    __slots__ = ("seen",)

    def __init__(self) -> None:
        self.seen: tuple[float, float] | None = None

    def set(self, value: float) -> None:
        self.seen = (value, time.time())


class Latest(Collector):
    """Like prometheus_client's Gauge, with times: of two processes, that one is right which has looked last."""

    def __init__(
        self, name: str, documentation: str, labels: Sequence[str] = (), registry: CollectorRegistry = REGISTRY
    ) -> None:
        self._name = name
        self._documentation = documentation
        self._labels = labels
        self._readings: dict[tuple[str, ...], Reading] = {}
        registry.register(self)

    def labels(self, *values: str) -> Reading:
        return self._readings.setdefault(values, Reading())

    def set(self, value: float) -> None:
        """Of one without labels."""
        self.labels().set(value)

    def describe(self) -> Iterable[Metric]:
        return [GaugeMetricFamily(self._name, self._documentation, labels=self._labels)]

    def collect(self) -> Iterable[Metric]:
        family = GaugeMetricFamily(self._name, self._documentation, labels=self._labels)
        for values, reading in list(self._readings.items()):
            if reading.seen is not None:
                value, at = reading.seen
                family.add_metric(values, value, timestamp=at)
        yield family
