"""Topics whose followers are behind, or were cut off because their clients did not read: where to look first."""

import heapq
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime

from resources_app.hub.topics import Topic
from resources_app.patterns import Pattern


@dataclass(frozen=True, slots=True, kw_only=True)
class SlowTopic:
    """A topic as one process has it: how many of its followers have something to come, and for how long that waits.

    `waiting_seconds` is what the tail knows: what fell out of it has waited longer. `cut` counts the followers that
    were cut off since the topic came to be.
    """

    pattern: Pattern
    followers: int
    behind: int
    waiting_seconds: float
    cut: int


def slowest(topics: Iterable[Topic], most: int) -> list[SlowTopic]:
    """So many topics at most, the worst first; those where nothing waits and nobody was cut are none of them."""
    slow = (found for topic in topics if (found := _look_at(topic)) is not None)
    return heapq.nlargest(most, slow, key=lambda topic: (topic.cut, topic.waiting_seconds, topic.behind))


def _look_at(topic: Topic) -> SlowTopic | None:
    last = topic.last
    behind = [follower.cursor for follower in topic.followers if follower.cursor < last]
    if not behind and not topic.cut:
        return None
    since = topic.waiting_since(min(behind)) if behind else None
    waiting = 0.0 if since is None else max(0.0, (datetime.now(UTC) - since).total_seconds())
    return SlowTopic(
        pattern=topic.pattern,
        followers=len(topic.followers),
        behind=len(behind),
        waiting_seconds=waiting,
        cut=topic.cut,
    )
