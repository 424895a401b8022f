"""Beat: starts background work, tick by tick."""

import contextlib
from typing import Any

from celery import beat

from audit_app.breaker import Breaker, PartAway
from audit_app.recovery import BROKER

breaker = Breaker(BROKER, counts=lambda error: isinstance(error, beat.SchedulingError))


class Scheduler(beat.Scheduler):
    """Leaves out the ticks that the broker does not take, because the next one does their work.

    It keeps no file, unlike Celery's own choice: with intervals of seconds there is nothing to remember over a restart,
    and a file may be cut or find no room.
    """

    def apply_entry(self, entry: beat.ScheduleEntry, producer: Any = None) -> None:
        with contextlib.suppress(PartAway), breaker.guard():
            self.apply_async(entry, producer=producer, advance=False)

    def adjust(self, n: float, drift: float = 0.0) -> float:
        """When to look again, in seconds. Celery's own scheduler wakes 10 ms early and spins until it is time."""
        seconds: float = super().adjust(n, drift)
        return seconds
