"""How far this process is behind the log, in time: since when there is something in it that it has not read."""

from collections import deque

MAX_LAG_SECONDS = 5.0
CAUGHT_UP_SECONDS = 1.0
SAMPLE_SECONDS = 0.1

MAX_SAMPLES = 256
"""More than MAX_LAG_SECONDS need; of a longer lag only that it is long is known."""


class Lag:
    """Judges looks at a process's position and at the head of the log. Times are monotonic seconds.

    What counts is a head that was seen some time ago and has not been reached since. So it is no lag that somebody has
    just written, nor that nobody has looked for long; and a process that reads, but slower than others write, has one.
    A process that fell behind stays so until it has caught up, not until it has come a little closer.
    """

    def __init__(self) -> None:
        self._unreached: deque[tuple[int, float]] = deque(maxlen=MAX_SAMPLES)
        self._is_behind = False

    def look(self, position: int, head: int, now: float) -> float:
        """The seconds for which this process has been behind; 0 when it has what was there at the looks before."""
        unreached = self._unreached
        while unreached and unreached[0][0] <= position:
            unreached.popleft()
        if head > position and (not unreached or now - unreached[-1][1] >= SAMPLE_SECONDS):
            unreached.append((head, now))
        lag = now - unreached[0][1] if unreached else 0.0
        self._is_behind = lag > (CAUGHT_UP_SECONDS if self._is_behind else MAX_LAG_SECONDS)
        return lag

    @property
    def is_behind(self) -> bool:
        """Whether this process should be given no requests, by the last look."""
        return self._is_behind
