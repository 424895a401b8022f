"""What an exporter is: the only thing that a new kind of receiver needs."""

from typing import Protocol

from telemetry_app.state import State


class ReceiverAway(Exception):
    """The receiver did not take it now; it may later. `after`: in how many seconds, if it has said that."""

    def __init__(self, reason: str, after: float | None = None) -> None:
        super().__init__(reason)
        self.after = after


class PointsRejected(Exception):
    """The receiver will not take these points, now or later; the message says why."""

    def __init__(self, reason: str, points: int) -> None:
        super().__init__(reason)
        self.points = points


class Exporter(Protocol):
    """Called from one thread."""

    name: str
    """A label of metrics, and what the log calls it."""

    def points(self, state: State) -> int:
        """How many points a state is for this receiver."""

    def export(self, state: State) -> None:
        """Return when the receiver has all of it. Raises ReceiverAway, or PointsRejected for what it did not take."""

    def close(self) -> None:
        """Let go of connections."""
