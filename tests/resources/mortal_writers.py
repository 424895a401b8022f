"""A program: processes that write until they are killed at a chosen point of a commit.

`python -m tests.resources.mortal_writers <rounds>` runs one process a point and round. Each creates resources, eight at
a time, and writes the URI of every creation that was answered on a line of its own; after it has died, a line says
"killed <point>".
"""

import asyncio
import itertools
import os
import signal
import sys
from collections.abc import Callable
from typing import Any

import django

from tests.stack.beside import in_a_fork

django.setup()

# these need Django to be set up
from audit_app.bulk import Bulk  # noqa: E402
from audit_app.writer import Writer  # noqa: E402
from resources_app.store import ChangeResources, ResourceStore  # noqa: E402
from tests.resources.commands import entry  # noqa: E402
from tests.resources.states import write_of  # noqa: E402

CLIENTS = 8
BATCHES = 5


class MortalStore(ResourceStore):
    """Runs `before` and `after` around every save."""

    def __init__(self, before: Callable[[], None], after: Callable[[], None]) -> None:
        self._before = before
        self._after = after

    def save(self, db: Bulk, state: Any) -> None:
        self._before()
        super().save(db, state)
        self._after()


class Death:
    """Kills this process when it is called for the fifth time, if its point is the chosen one."""

    def __init__(self, chosen: str) -> None:
        self._chosen = chosen
        self._calls = 0

    def at(self, point: str) -> Callable[..., None]:
        def arrive(*_: object) -> None:
            if point == self._chosen:
                self._calls += 1
                if self._calls == BATCHES:
                    os.kill(os.getpid(), signal.SIGKILL)

        return arrive


def write_until_killed(point: str, tree: str) -> None:
    death = Death(point)
    store = MortalStore(before=death.at("decided"), after=death.at("saved"))
    writer = Writer()
    writer.listen(death.at("committed"))
    numbers = itertools.count()

    async def create() -> None:
        while True:
            uri = f"{tree}{next(numbers)}"
            change = write_of({"n": 1}, uri, must_be_new=True)
            await writer.submit(ChangeResources(changes=[change], entry=entry(resource_id=uri), store=store))
            os.write(1, f"{uri}\n".encode())
            death.at("answered")()

    async def create_side_by_side() -> None:
        await asyncio.gather(*(create() for _ in range(CLIENTS)))

    asyncio.run(create_side_by_side())


for number in range(int(sys.argv[1])):
    for chosen in ("decided", "saved", "committed", "answered"):
        tree = f"resource://mortal.local/{chosen}/{number}/"
        status = in_a_fork(lambda: write_until_killed(chosen, tree))  # noqa: B023  # it runs before the loop goes on
        os.write(1, (f"killed {chosen}\n" if status == -signal.SIGKILL else f"status {status}\n").encode())
