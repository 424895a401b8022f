"""How fast a client may go: a leaky bucket that is one number."""


class Pace:
    """At most `rate` things a second in the long run, and `burst` at once. Times are loop times in seconds."""

    __slots__ = ("_burst_seconds", "_due", "_interval")

    def __init__(self, rate: float, burst: float) -> None:
        self._interval = 1 / rate
        self._burst_seconds = burst / rate
        self._due = 0.0

    def take(self, now: float, count: int = 1) -> float:
        """Count things that have come; the seconds by which they came too early, 0 when they did not."""
        self._due = max(self._due, now) + count * self._interval
        return max(0.0, self._due - now - self._burst_seconds)
