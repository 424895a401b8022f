"""Turns: of many who become ready at once a few go on at a time; live delivery comes in between (architecture §4)."""

import asyncio
from collections import deque
from collections.abc import Iterable

AT_ONCE = 8


class Turns:
    """Gives out turns in the order in which they were asked for, `AT_ONCE` each time the event loop comes round."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._waiting: deque[asyncio.Future[None]] = deque()
        self._is_due = False

    async def take(self) -> None:
        """Wait for a turn; it lasts until the caller waits for something else."""
        turn: asyncio.Future[None] = self._loop.create_future()
        self.queue([turn])
        await turn

    def queue(self, turns: Iterable[asyncio.Future[None]]) -> None:
        """Have these set when it is their turn; those that are done by then do not count."""
        self._waiting.extend(turns)
        if self._waiting and not self._is_due:
            self._is_due = True
            self._loop.call_soon(self._give)

    def _give(self) -> None:
        given = 0
        while self._waiting and given < AT_ONCE:
            turn = self._waiting.popleft()
            if not turn.done():
                turn.set_result(None)
                given += 1
        self._is_due = bool(self._waiting)
        if self._is_due:
            self._loop.call_soon(self._give)
