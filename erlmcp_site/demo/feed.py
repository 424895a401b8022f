"""A live feed: the demo's weather, air, departures and rates change at a given rate."""

import time
from collections.abc import Callable, Iterator
from random import Random

from erlmcp_site.demo.loading import apply
from erlmcp_site.demo.places import CITIES, PAIRS
from erlmcp_site.demo.tree import air, departures, rate, weather
from resources_app.changes import Write

TURNS_PER_SECOND = 20


def run_feed(changes_per_second: float, seconds: float | None, told: Callable[[int], None]) -> int:
    """Change resources for so many seconds (None: for ever); how many changes that were.

    At most 20 commits a second, each with what is due by then. `told` hears the number of changes once a second.
    """
    changes = _changes(Random())
    wanted = None if seconds is None else round(changes_per_second * seconds)
    started = last_told = time.monotonic()
    made = 0
    while wanted is None or made < wanted:
        due = int((time.monotonic() - started) * changes_per_second)
        if wanted is not None:
            due = min(due, wanted)
        if due > made:
            made += apply([next(changes) for _ in range(due - made)])
        if time.monotonic() - last_told >= 1:
            last_told = time.monotonic()
            told(made)
        time.sleep(max(1 / TURNS_PER_SECOND, 0.2 / changes_per_second))
    return made


def _changes(chance: Random) -> Iterator[Write]:
    cities = list(CITIES)
    while True:
        kind = chance.random()
        if kind < 0.5:
            yield weather(chance.choice(cities), chance)
        elif kind < 0.7:
            yield air(chance.choice(cities), chance)
        elif kind < 0.85:
            yield departures(chance.choice(cities), chance)
        else:
            yield rate(chance.choice(PAIRS), chance)
