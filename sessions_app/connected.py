"""How many connections that stay each user has open in this process: sockets, event streams, polls (docs/limits.md).

They are a process's own, and so is what they cost: memory, files, followers. Nothing is asked of other nodes for that.
"""

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

from django.conf import settings

from sessions_app.errors import RateLimited, TooManyConnections, TooManyListens


class Connected:
    """Counts open connections of a kind by user.

    `policy` is what refusals and their entries call the limit, `setting` the one that says how many there may be, and
    `refusal` what whoever wants one more is refused with.
    """

    def __init__(self, policy: str, setting: str, refusal: type[RateLimited]) -> None:
        self._policy = policy
        self._setting = setting
        self._refusal = refusal
        self._counts: Counter[str] = Counter()

    def __getitem__(self, user_id: str) -> int:
        return self._counts[user_id]

    @property
    def total(self) -> int:
        """Of all users."""
        return self._counts.total()

    def enter(self, user_id: str) -> None:
        """One more, until `leave`. Raises RateLimited."""
        limit: int = getattr(settings, self._setting)
        if self._counts[user_id] >= limit:
            raise self._refusal(policy=self._policy, limit=limit)
        self._counts[user_id] += 1

    def leave(self, user_id: str) -> None:
        self._counts[user_id] -= 1
        if not self._counts[user_id]:
            del self._counts[user_id]

    @contextmanager
    def during(self, user_id: str) -> Iterator[None]:
        """One more for a while. Raises RateLimited."""
        self.enter(user_id)
        try:
            yield
        finally:
            self.leave(user_id)


connected = Connected("sockets", "SOCKETS_PER_USER", TooManyConnections)
listening = Connected("listens", "MCP_LISTENS_PER_USER", TooManyListens)
"""Those of them that are subscriptions of MCP, of which each may follow much."""
