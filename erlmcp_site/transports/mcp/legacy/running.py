"""The requests of sessions that are under way in this process, so that their clients can have them cancelled."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager

from mcp_types import RequestId

Key = tuple[str, RequestId]
"""A session, and the id that its client gave a request."""


class Cancelled(Exception):
    """The client does not want the request done any more."""


class Running:
    """Tasks by the requests that they run."""

    def __init__(self) -> None:
        self._tasks: dict[Key, asyncio.Task[object]] = {}
        self._cancelled: set[asyncio.Task[object]] = set()

    def __len__(self) -> int:
        return len(self._tasks)

    @contextmanager
    def under_way(self, key: Key) -> Iterator[None]:
        """Around what the current task does for a request. Raises Cancelled when its client has that cancelled."""
        task = asyncio.current_task()
        assert task is not None
        self._tasks[key] = task
        try:
            yield
        except asyncio.CancelledError:
            if task not in self._cancelled:
                raise
            task.uncancel()
            raise Cancelled from None
        finally:
            self._cancelled.discard(task)
            if self._tasks.get(key) is task:
                del self._tasks[key]

    def cancel(self, key: Key) -> bool:
        """Cancel a request; whether it is under way here."""
        task = self._tasks.get(key)
        if task is None:
            return False
        self._cancelled.add(task)
        task.cancel()
        return True


running = Running()
