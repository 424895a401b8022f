"""Reads of the database that begin no earlier than they are asked for, one at a time a key."""

import asyncio
from collections.abc import Callable
from typing import Generic, TypeVar

from audit_app.database import in_database
from audit_app.deadlines import without_deadline

T = TypeVar("T")


class FreshReads(Generic[T]):
    """Runs `read` for a key on a thread of the database's.

    Whoever asks while a read of the same key is under way shares the next one: that begins after all who share it have
    asked, so it reflects whatever was committed by then. However many ask, the database is asked by one at a time.
    """

    def __init__(self, read: Callable[[str], T]) -> None:
        self._read = read
        self._turns: dict[str, asyncio.Future[T]] = {}
        self._working: dict[str, asyncio.Task[None]] = {}

    async def of(self, key: str) -> T:
        """What `read` returns. Raises what it raises."""
        turn = self._turns.get(key)
        if turn is None:
            loop = asyncio.get_running_loop()
            turn = self._turns[key] = loop.create_future()
            if key not in self._working:
                self._working[key] = loop.create_task(self._work(key), context=without_deadline())
        return await asyncio.shield(turn)

    async def _work(self, key: str) -> None:
        try:
            while turn := self._turns.pop(key, None):
                try:
                    turn.set_result(await in_database(self._read, key))
                except Exception as error:
                    turn.set_exception(error)
                    # those who wanted to know may have gone away
                    turn.exception()
        finally:
            del self._working[key]
