"""Marks: on which nodes a session follows, for all nodes to see in Redis.

What a follower is pushed is in no position, since nothing is told for a delivery. A mark says so: a causal read on any
other node then goes to the database. A mark reads `<node> <until> …`: every node on which the session follows, each
until a moment of Redis' own clock. A node keeps the marks of its sessions from running out.
"""

from collections import Counter
from collections.abc import Iterator

from resources_app.hub.followers import Follower

KEPT_SECONDS = 90
"""More than a node can be behind the log that still runs (the most that LOG_POLL_SECONDS can be, and a margin)."""

REFRESH_SECONDS = 20.0

ADD = """
local now = tonumber(redis.call('TIME')[1])
for _, key in ipairs(KEYS) do
    local mark = ARGV[1] .. ' ' .. (now + ARGV[2])
    for node, last in string.gmatch(redis.call('GET', key) or '', '(%S+) (%d+)') do
        if node ~= ARGV[1] and tonumber(last) > now then
            mark = mark .. ' ' .. node .. ' ' .. last
        end
    end
    redis.call('SET', key, mark, 'EX', ARGV[2])
end
"""
"""A script for Redis: adds the node ARGV[1] to the marks KEYS for ARGV[2] seconds, and drops nodes that ran out."""


def key_of(session_id: str) -> str:
    return f"erlmcp:follows:{session_id}"


def is_elsewhere(mark: bytes | None, node: str) -> bool:
    """Whether a mark names another node than this one."""
    return mark is not None and any(name != node for name in mark.decode().split()[::2])


class FollowedSessions:
    """The sessions that follow on this node."""

    def __init__(self) -> None:
        self._sessions: dict[Follower, str] = {}
        self._counts: Counter[str] = Counter()

    def __iter__(self) -> Iterator[str]:
        return iter(self._counts)

    def add(self, session_id: str, follower: Follower) -> None:
        self._sessions[follower] = session_id
        self._counts[session_id] += 1

    def remove(self, follower: Follower) -> str | None:
        """Forget a follower. Returns its session when that follows here no more."""
        session_id = self._sessions.pop(follower, None)
        if session_id is None:
            return None
        self._counts[session_id] -= 1
        if self._counts[session_id]:
            return None
        del self._counts[session_id]
        return session_id
