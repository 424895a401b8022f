"""What a process, or all of a node, counts and measures at one moment: the samples of every metric of the catalogue."""

import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from prometheus_client import REGISTRY
from prometheus_client.core import Exemplar
from prometheus_client.registry import Collector

from telemetry_app import metrics, system  # noqa: F401  # every metric is in the catalogue from here on
from telemetry_app.catalogue import BY_SAMPLE, Merge

Labels = tuple[tuple[str, str], ...]
Key = tuple[str, Labels]
"""Of one sample: its name, as Prometheus writes it, and its labels."""

Note = dict[str, Any]
"""What a process tells the others of its node, as JSON."""


@dataclass(slots=True)
class State:
    """Samples at the Unix time `at`. What is counted has been since `since`.

    `seen` holds when what is `Merge.LATEST` was looked at. `rates` says by how much a second each sample has grown
    lately, where it has grown at all. `notes` are what processes have to say that is no number, now.
    """

    at: float
    samples: dict[Key, float] = field(default_factory=dict)
    seen: dict[Key, float] = field(default_factory=dict)
    exemplars: dict[Key, Exemplar] = field(default_factory=dict)
    rates: dict[Key, float] = field(default_factory=dict)
    since: float = 0.0
    notes: list[Note] = field(default_factory=list)


_interned: dict[Key, Key] = {}
"""Each key once: they are as many as there are series, and looked at every second."""

_keys: dict[str, Key] = {}
"""The keys by the texts that stand for them in files."""

_texts: dict[Key, str] = {}

_SEPARATOR = "\0"

_BEGAN = time.time()
"""When this process began to count."""


def intern_key(name: str, labels: dict[str, str]) -> Key:
    """The key of a sample."""
    key = (name, tuple(labels.items()))
    return _interned.setdefault(key, key)


def text_of(key: Key) -> str:
    """A key as a text, which `key_of` reads."""
    text = _texts.get(key)
    if text is None:
        name, labels = key
        text = _texts[key] = _SEPARATOR.join((name, *(part for pair in labels for part in pair)))
    return text


def key_of(text: str) -> Key:
    key = _keys.get(text)
    if key is None:
        name, *parts = text.split(_SEPARATOR)
        key = _keys[text] = intern_key(name, dict(zip(parts[::2], parts[1::2], strict=True)))
    return key


def take_state(registry: Collector = REGISTRY) -> State:
    """What this process has now, without rates."""
    state = State(time.time(), since=_BEGAN)
    samples = state.samples
    for metric in registry.collect():
        for sample in metric.samples:
            if sample.name not in BY_SAMPLE:
                continue
            key = intern_key(sample.name, sample.labels)
            samples[key] = sample.value
            if sample.timestamp is not None:
                state.seen[key] = float(sample.timestamp)
            if sample.exemplar is not None:
                state.exemplars[key] = sample.exemplar
    return state


def merge(states: Iterable[State]) -> State:
    """What a node has whose processes have these."""
    whole = State(0.0, since=time.time())
    samples, seen, rates = whole.samples, whole.seen, whole.rates
    for state in states:
        whole.at, whole.since = max(whole.at, state.at), min(whole.since, state.since)
        for key, value in state.samples.items():
            held = samples.get(key)
            rule = BY_SAMPLE[key[0]].merge
            if held is None:
                samples[key] = value
            elif rule is Merge.SUM:
                samples[key] = held + value
            elif rule is Merge.MAX:
                samples[key] = max(held, value)
            elif state.seen[key] > seen[key]:
                samples[key] = value
            if rule is Merge.LATEST:
                seen[key] = max(seen.get(key, 0.0), state.seen[key])
        for key, rate in state.rates.items():
            is_same_for_all = BY_SAMPLE[key[0]].merge is Merge.MAX
            rates[key] = max(rates.get(key, 0.0), rate) if is_same_for_all else rates.get(key, 0.0) + rate
        for key, exemplar in state.exemplars.items():
            other = whole.exemplars.get(key)
            if other is None or float(exemplar.timestamp or 0) > float(other.timestamp or 0):
                whole.exemplars[key] = exemplar
        whole.notes += state.notes
    return whole


def is_counted(key: Key) -> bool:
    """Whether a sample only grows while its process lives, and is this process's own."""
    description = BY_SAMPLE[key[0]]
    return description.kind != "gauge" and description.merge is Merge.SUM
