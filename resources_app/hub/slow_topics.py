"""Topics whose followers are behind, or were cut off because their clients did not read: where to look first."""

import asyncio
import heapq
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime

from resources_app.hub.topics import Topic
from resources_app.patterns import Pattern, parse_pattern
from telemetry_app.state import Note

MOST = 10
"""How many are told at most."""

LOOK_SECONDS = 1.0
"""How often a process looks what it has to tell the others of its node."""

KIND = "slow topic"


@dataclass(frozen=True, slots=True, kw_only=True)
class SlowTopic:
    """A topic as a process, or a node, has it: how many of its followers have something to come, and for how long that
    waits.

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
    return _worst(slow, most)


def _worst(topics: Iterable[SlowTopic], most: int) -> list[SlowTopic]:
    return heapq.nlargest(most, topics, key=lambda topic: (topic.cut, topic.waiting_seconds, topic.behind))


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


class SlowTopics:
    """Those of this process, looked for in its event loop; `notes` tell of them in any thread."""

    def __init__(self, topics: Callable[[], Iterable[Topic]]) -> None:
        self._topics = topics
        self._found: list[SlowTopic] = []

    def look(self) -> None:
        """Find out which there are now."""
        self._found = slowest(self._topics(), MOST)

    async def look_now_and_then(self) -> None:
        """For ever."""
        while True:
            self.look()
            await asyncio.sleep(LOOK_SECONDS)

    def notes(self) -> list[Note]:
        """What the last look has found, for the others of the node."""
        return [
            {
                "kind": KIND,
                "uri": str(topic.pattern),
                "followers": topic.followers,
                "behind": topic.behind,
                "waiting_seconds": topic.waiting_seconds,
                "cut": topic.cut,
            }
            for topic in self._found
        ]


def of_node(notes: Iterable[Note]) -> list[SlowTopic]:
    """The worst topics of all processes whose notes these are: one that several have is told once."""
    found: dict[str, SlowTopic] = {}
    for note in notes:
        if note.get("kind") != KIND:
            continue
        other = found.get(note["uri"])
        found[note["uri"]] = SlowTopic(
            pattern=other.pattern if other else parse_pattern(note["uri"]),
            followers=note["followers"] + (other.followers if other else 0),
            behind=note["behind"] + (other.behind if other else 0),
            waiting_seconds=max(note["waiting_seconds"], other.waiting_seconds if other else 0.0),
            cut=note["cut"] + (other.cut if other else 0),
        )
    return _worst(found.values(), MOST)
