"""What is at hand of the log for followers of one pattern, and the load that brings more."""

import asyncio
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass, field

from resources_app.hub.stretches import Stretch
from resources_app.log.head import Bounds
from resources_app.patterns import Pattern


@dataclass(eq=False, slots=True)
class Load:
    """One read of the log for a pattern, from behind `start` on. Who waits for it has a future here.

    When it is done, `kept` is where the log began after the read, and `stretches` is what was found; or `error` says
    why nothing was. `is_tampered`: what was found is not what was written.
    """

    start: int
    waiting: list[asyncio.Future[None]] = field(default_factory=list)
    stretches: Sequence[Stretch] = ()
    kept: Bounds = field(default_factory=lambda: Bounds(0, 1))
    is_tampered: bool = False
    error: Exception | None = None


@dataclass(eq=False, slots=True)
class Shelf:
    """What is at hand of the log for one pattern, for followers with or without deltas.

    `waiting` counts those who wait for a load. `is_dropped`: what they get may not be shown any more.
    """

    pattern: Pattern
    has_deltas: bool
    stretches: list[Stretch] = field(default_factory=list)
    load: Load | None = None
    waiting: int = 0
    is_dropped: bool = False

    def find(self, cursor: int) -> Stretch | None:
        """The stretch in which what comes behind a cursor is found."""
        return covering(self.stretches, cursor)

    def add(self, stretch: Stretch) -> None:
        """Keep a stretch, whatever others there are of the same part."""
        self.stretches.insert(bisect_right(self.stretches, stretch.after, key=_after), stretch)


def covering(stretches: Sequence[Stretch], cursor: int) -> Stretch | None:
    """The stretch, of some in order, in which what comes behind a cursor is found."""
    index = bisect_right(stretches, cursor, key=_after) - 1
    return stretches[index] if index >= 0 and stretches[index].covers(cursor) else None


def _after(stretch: Stretch) -> int:
    return stretch.after
