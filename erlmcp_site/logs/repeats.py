"""Leaving repeats out: of what is logged again and again, so many in a period, and then how many there were more."""

import threading
import time
from collections.abc import Callable, Hashable
from dataclasses import dataclass
from typing import Generic, TypeVar

Kind = TypeVar("Kind", bound=Hashable)

MOST_KINDS = 1024
"""How many kinds are told apart at a time; what comes beyond counts as one more kind."""

LOOK_SECONDS = 1.0
"""How often it is looked which periods are over."""


@dataclass(slots=True)
class Window:
    """The present period of one kind, until a moment of the clock."""

    until: float
    let_through: int = 0
    left_out: int = 0


class Repeats(Generic[Kind]):
    """Lets `amount` of each kind through in any period of `seconds`, and counts what it leaves out. For any thread."""

    def __init__(self, amount: int, seconds: float, clock: Callable[[], float] = time.monotonic) -> None:
        self.seconds = seconds
        self._amount = amount
        self._clock = clock
        # a finalizer that logs may run wherever memory is taken, in here as well
        self._lock = threading.RLock()
        self._windows: dict[Kind | None, Window] = {}
        self._look_at = clock() + min(LOOK_SECONDS, seconds)

    def admits(self, kind: Kind) -> bool:
        """Whether one more of this kind is let through."""
        now = self._clock()
        with self._lock:
            window = self._windows.get(kind)
            if window is None:
                counted: Kind | None = kind if len(self._windows) < MOST_KINDS else None
                window = self._windows.setdefault(counted, Window(now + self.seconds))
            if now >= window.until and not window.left_out:
                window.until, window.let_through = now + self.seconds, 0
            if window.let_through < self._amount:
                window.let_through += 1
                return True
            window.left_out += 1
            return False

    def ended(self, *, all: bool = False) -> list[tuple[Kind | None, int]]:
        """The kinds of which something was left out in a period that is over, and how many; told once.

        With `all`, of the periods that go on, too. None stands for the kinds that were not told apart.
        """
        now = self._clock()
        if now < self._look_at and not all:
            return []
        with self._lock:
            self._look_at = now + min(LOOK_SECONDS, self.seconds)
            # a copy is made in one piece: a finalizer cannot add a kind meanwhile
            over = {kind: window for kind, window in self._windows.copy().items() if all or now >= window.until}
            for kind in over:
                self._windows.pop(kind, None)
        return [(kind, window.left_out) for kind, window in over.items() if window.left_out]
