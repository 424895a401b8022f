"""How many connections that stay each user has open in this process: sockets, event streams, polls (docs/limits.md).

They are a process's own, and so is what they cost: memory, files, followers. Nothing is asked of other nodes for that.
"""

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

from django.conf import settings

from sessions_app.errors import TooManyConnections

POLICY = "sockets"
"""What refusals and their entries call it."""


class Connected:
    """Counts open connections by user."""

    def __init__(self) -> None:
        self._counts: Counter[str] = Counter()

    def __getitem__(self, user_id: str) -> int:
        return self._counts[user_id]

    @property
    def total(self) -> int:
        """Of all users."""
        return self._counts.total()

    def enter(self, user_id: str) -> None:
        """One more, until `leave`. Raises TooManyConnections."""
        if self._counts[user_id] >= settings.SOCKETS_PER_USER:
            raise TooManyConnections(policy=POLICY, limit=settings.SOCKETS_PER_USER)
        self._counts[user_id] += 1

    def leave(self, user_id: str) -> None:
        self._counts[user_id] -= 1
        if not self._counts[user_id]:
            del self._counts[user_id]

    @contextmanager
    def during(self, user_id: str) -> Iterator[None]:
        """One more for a while. Raises TooManyConnections."""
        self.enter(user_id)
        try:
            yield
        finally:
            self.leave(user_id)


connected = Connected()
