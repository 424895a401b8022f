"""Graphite's carbon, over TCP: lines of text, or pickled lists (graphite.readthedocs.io/en/latest/feeding-carbon.html).

`erlmcp.<node>.requests_total.rest.resources_read.success 42 1700000000`: below the prefix the name without `erlmcp_`,
then the values of the labels in the order of docs/telemetry.md. Or, with tags,
`erlmcp_requests_total;node=…;transport=rest;… 42 1700000000`. Of histograms come `_count`, `_sum`, and over the last
minute `p50`, `p95` and `p99`; graphs of rates are made with `perSecond`.
"""

import pickle
import select
import socket
import struct
from collections.abc import Iterator

from telemetry_app.exporters.configuration import PICKLE, Graphite, named
from telemetry_app.exporters.exporter import ReceiverAway
from telemetry_app.state import Labels, State
from telemetry_app.windows import histograms, quantile

SEND_SECONDS = 10.0
BATCH_POINTS = 500
PERCENTILES = {"p50": 0.5, "p95": 0.95, "p99": 0.99}

Point = tuple[str, tuple[int, float]]


class GraphiteExporter:
    """Keeps one connection, and makes another when that breaks."""

    name = "graphite"

    def __init__(self, target: Graphite, node: str) -> None:
        self._target = target
        self._node = node
        self._connection: socket.socket | None = None

    def points(self, state: State) -> int:
        return sum(1 for _ in self.named_points(state))

    def export(self, state: State) -> None:
        points = list(self.named_points(state))
        pack = _pickled if self._target.protocol == PICKLE else _lines
        try:
            connection = self._connected()
            for first in range(0, len(points), BATCH_POINTS):
                connection.sendall(pack(points[first : first + BATCH_POINTS]))
        except OSError as error:
            self.close()
            raise ReceiverAway(f"{self._target.host}:{self._target.port}: {error}") from error

    def close(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()

    def named_points(self, state: State) -> Iterator[Point]:
        """(path, (Unix time, value)) for each sample that Graphite is sent."""
        at = int(state.at)
        for (sample, labels), value in state.samples.items():
            if not sample.endswith("_bucket"):
                yield self._path(sample, labels), (at, value)
        for description, labels, buckets in histograms(state.rates, state.samples):
            for percentile, share in PERCENTILES.items():
                found = quantile(buckets, share)
                if found is not None:
                    yield self._path(description.name, labels, percentile), (at, found)

    def _path(self, sample: str, labels: Labels, percentile: str = "") -> str:
        if self._target.has_tags:
            tags = (("node", self._node), *labels, *((("percentile", percentile),) if percentile else ()))
            return ";".join((sample, *(f"{label}={_tag(value)}" for label, value in tags)))
        parts = (self._target.prefix, sample.removeprefix("erlmcp_"), *(named(value) for _, value in labels))
        return ".".join((*parts, percentile) if percentile else parts)

    def _connected(self) -> socket.socket:
        """A connection that the other side has not closed, as far as can be seen."""
        if self._connection is not None and select.select([self._connection], [], [], 0)[0]:
            # carbon says nothing, so this is its end
            self.close()
        if self._connection is None:
            address = (self._target.host, self._target.port)
            self._connection = socket.create_connection(address, timeout=SEND_SECONDS)
        return self._connection


def _tag(value: str) -> str:
    """What carbon takes as the value of a tag."""
    return value.replace(";", "_").replace(" ", "_").lstrip("~") or "_"


def _lines(points: list[Point]) -> bytes:
    return "".join(f"{path} {value!r} {at}\n" for path, (at, value) in points).encode()


def _pickled(points: list[Point]) -> bytes:
    body = pickle.dumps(points, protocol=2)
    return struct.pack("!L", len(body)) + body
