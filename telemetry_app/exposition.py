"""What Prometheus reads: text, or OpenMetrics with exemplars for whoever accepts it."""

from collections.abc import Iterable

from prometheus_client import CONTENT_TYPE_PLAIN_0_0_4 as PLAIN
from prometheus_client import exposition as plain
from prometheus_client.core import Metric
from prometheus_client.openmetrics import exposition as openmetrics
from prometheus_client.registry import Collector

from telemetry_app.catalogue import BY_SAMPLE
from telemetry_app.state import State


def exposition(state: State, accept: str) -> tuple[bytes, str]:
    """The metrics, in the best form that an Accept header names, and its media type."""
    families = Families(state)
    if "application/openmetrics-text" in accept.lower():
        text: bytes = openmetrics.generate_latest(families)  # type: ignore[no-untyped-call]  # the library has none here
        return text, openmetrics.CONTENT_TYPE_LATEST
    return plain.generate_latest(families), PLAIN


class Families(Collector):
    """A state as the library's encoders take it."""

    def __init__(self, state: State) -> None:
        self._state = state

    def collect(self) -> Iterable[Metric]:
        families: dict[str, Metric] = {}
        for key, value in self._state.samples.items():
            name, labels = key
            description = BY_SAMPLE[name]
            family = families.get(description.family)
            if family is None:
                family = families[description.family] = Metric(
                    description.family, description.meaning, description.kind, description.unit
                )
            family.add_sample(name, dict(labels), value, exemplar=self._state.exemplars.get(key))
        return families.values()
