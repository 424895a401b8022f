"""What each metric means: its type, labels and unit, and how a node makes one figure of those of its processes.

Metrics are made here and nowhere else, so that docs/telemetry.md, `/metrics` and the exporters know each of them.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Literal

from prometheus_client import Counter, Gauge, Histogram

from telemetry_app.latest import Latest
from telemetry_app.tallies import Spread, Tallies

Kind = Literal["counter", "gauge", "histogram"]

UNITS = ("seconds", "bytes", "ratio", "entries")
"""What a name may end in, before `_total`; other metrics count things and have no unit."""

SUFFIXES = {"counter": ("_total",), "gauge": ("",), "histogram": ("_bucket", "_sum", "_count")}


class Merge(StrEnum):
    """How a node makes one sample of those that its processes have. What a process counted stays when it has ended."""

    SUM = "sum"
    MAX = "max"
    LATEST = "latest"


@dataclass(frozen=True, slots=True)
class Description:
    """A metric. Names are as the contract writes them (§9); `family` is without the `_total` of counters.

    `buckets` are the upper bounds of a histogram.
    """

    name: str
    kind: Kind
    meaning: str
    labels: tuple[str, ...]
    merge: Merge
    buckets: tuple[float, ...]

    @property
    def family(self) -> str:
        return self.name.removesuffix("_total")

    @property
    def unit(self) -> str:
        """ "" for what counts things."""
        return next((unit for unit in UNITS if self.family.endswith(f"_{unit}")), "")

    @property
    def sample_names(self) -> tuple[str, ...]:
        return tuple(f"{self.family}{suffix}" for suffix in SUFFIXES[self.kind])


CATALOGUE: dict[str, Description] = {}
"""Every metric, by its name, in the order in which they are declared."""

BY_SAMPLE: dict[str, Description] = {}
"""The same by the names of samples."""


def describe(
    name: str,
    kind: Kind,
    meaning: str,
    labels: Sequence[str] = (),
    *,
    merge: Merge = Merge.SUM,
    buckets: Sequence[float] = (),
) -> Description:
    """Add a metric that a collector of its own tells. Raises ValueError for a name that is taken."""
    if name in CATALOGUE:
        raise ValueError(f"there is a metric {name} already")
    description = CATALOGUE[name] = Description(name, kind, meaning, tuple(labels), merge, tuple(buckets))
    BY_SAMPLE.update(dict.fromkeys(description.sample_names, description))
    return description


def counter(name: str, meaning: str, labels: Sequence[str] = ()) -> Counter:
    """What only grows; the name ends in `_total`."""
    describe(name, "counter", meaning, labels)
    return Counter(name, meaning, labels)


def tallies(name: str, meaning: str, labels: Sequence[str]) -> Tallies:
    """The same, of what every request raises."""
    describe(name, "counter", meaning, labels)
    return Tallies(name, meaning, labels)


def gauge(name: str, meaning: str, labels: Sequence[str] = (), *, merge: Merge = Merge.SUM) -> Gauge:
    """What a process has of something at the moment."""
    describe(name, "gauge", meaning, labels, merge=merge)
    return Gauge(name, meaning, labels)


def latest(name: str, meaning: str, labels: Sequence[str] = ()) -> Latest:
    """What is the same whichever process looks: the node tells what was seen last."""
    describe(name, "gauge", meaning, labels, merge=Merge.LATEST)
    return Latest(name, meaning, labels)


def histogram(name: str, meaning: str, labels: Sequence[str] = (), *, buckets: Sequence[float]) -> Histogram:
    """How things are distributed; `buckets` are upper bounds."""
    describe(name, "histogram", meaning, labels, buckets=buckets)
    return Histogram(name, meaning, labels, buckets=buckets)


def spread(name: str, meaning: str, *, buckets: Sequence[float]) -> Spread:
    """The same, of what is observed at each commit."""
    describe(name, "histogram", meaning, buckets=buckets)
    return Spread(name, meaning, buckets)
