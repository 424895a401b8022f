"""What the clients of a run asked, were answered and were handed, and what the databases held in the end."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from tests.stack.histories import Operation

Outcome = Literal["ok", "refused", "unknown"]


@dataclass(frozen=True, kw_only=True)
class Change:
    """One change that a client wanted, under one idempotency key, over as many attempts as it took.

    `began` is when the first attempt was made, `ended` when the last one was answered or given up (seconds of one
    monotonic clock). "unknown": no attempt was answered, so that it may have been made or not. `version` and `offset`
    are those of the answer, 0 without one; `base` is that of a compare-and-set.
    """

    client: str
    transport: str
    method: str
    uri: str
    outcome: Outcome
    began: float
    ended: float
    attempts: int = 1
    version: int = 0
    offset: int = 0
    base: int | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Seen:
    """One thing that a follower was handed: that a connection began behind an offset, an event, a bookmark, a reset.

    Agents are told of changes, and read.
    """

    kind: Literal["begun", "event", "bookmark", "reset", "told", "read"]
    offset: int
    uri: str = ""
    version: int = 0


@dataclass
class Followed:
    """One follower: what it asked for, and all that it was handed, over all of its connections and in that order.

    It follows everything below `prefix`, or one URI. What it has to have got lies above `start`.
    """

    client: str
    transport: str
    start: int
    prefix: str = ""
    uri: str = ""
    seen: list[Seen] = field(default_factory=list)

    def matches(self, uri: str) -> bool:
        return uri == self.uri if self.uri else uri.startswith(self.prefix)


@dataclass(kw_only=True)
class History:
    """All that clients can tell of a run. `operations` is for the rules of tests/stack/histories.py."""

    changes: list[Change] = field(default_factory=list)
    operations: list[Operation] = field(default_factory=list)
    followers: list[Followed] = field(default_factory=list)


@dataclass(frozen=True, kw_only=True)
class Evidence:
    """What the databases of a run hold in the end.

    `log` has (offset, URI, version) of the run's events, `offsets` those of all events, `table` the versions of what is
    there. `entries` has a (URI, version) for each entry of a change in the audit trail; those that tell of a repeat are
    left out. `trail` is empty, or what `audit verify` found wrong.
    """

    log: Sequence[tuple[int, str, int]]
    offsets: Sequence[int]
    table: Mapping[str, int]
    entries: Sequence[tuple[str, int]]
    trail: str = ""
