"""How fast a client may go: a leaky bucket that is one number."""

import math


class Pace:
    """At most `rate` things a second in the long run, and `burst` at once. Times are loop times in seconds."""

    __slots__ = ("_burst_seconds", "_due", "_interval")

    def __init__(self, rate: float, burst: float) -> None:
        self._interval = 1 / rate
        self._burst_seconds = burst / rate
        self._due = 0.0

    def take(self, now: float, count: int = 1, most: float = math.inf) -> float:
        """Count things that have come; the seconds by which they came too early, 0 when they did not.

        Things that came earlier than `most` seconds are not counted.
        """
        due = max(self._due, now) + count * self._interval
        early = max(0.0, due - now - self._burst_seconds)
        if early <= most:
            self._due = due
        return early
