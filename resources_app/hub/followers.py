"""Followers: a cursor on a topic, and the outlet where its events go (docs/architecture.md §4)."""

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

from resources_app.log.events import LoggedEvent
from resources_app.patterns import Pattern

if TYPE_CHECKING:
    from resources_app.hub.topics import Topic

Form = Callable[[Sequence[LoggedEvent], Sequence[str]], Any]
"""Joins events, given with the text of each, into one payload; followers of a topic share the result."""


class Outlet(Protocol):
    """Where a transport hands things to one client. The hub calls it, one call of `deliver` at a time a follower.

    `form` is a module-level function, so that followers of one topic share what it returns. `followers` are those of
    this client by subscription; who detaches one takes it out. A coroutine that suspends says that the client reads
    too slowly for now; the hub goes on with the others and comes back.
    """

    transport: str
    form: Form
    followers: "dict[str, Follower]"

    def deliver(self, subscription: str, payload: Any, last: int) -> Coroutine[Any, Any, None]:
        """Hand over a payload made by `form`; `last` is the offset of its last event."""

    def bookmark(self, subscription: str, offset: int) -> Coroutine[Any, Any, None]:
        """Nothing came for this follower up to `offset`: a later resume may start there."""

    def reset(self, subscription: str, earliest: int, head: int) -> Coroutine[Any, Any, None]:
        """The follower fell out of the log and is detached."""

    def deleted(self, subscription: str) -> None:
        """The durable subscription is no more, and its follower is detached."""

    def cut(self, subscription: str) -> None:
        """The client may not follow that any more, and its follower is detached."""

    def slow(self) -> None:
        """The client has not read for too long, or could not be sent something: cut it.

        The hub has detached the follower already.
        """


@dataclass(frozen=True, slots=True, kw_only=True)
class Following:
    """What a follower wants: which events, from where, and how they are to come (contract §4).

    `after` is the last offset that the client has; None means from now. `batch_size` events at most in one delivery,
    at most one delivery every `throttle_ms`.
    """

    subscription: str
    pattern: Pattern
    events: frozenset[str] = field(default_factory=lambda: frozenset({"created", "updated", "deleted"}))
    after: int | None = None
    batch_size: int = 1000
    throttle_ms: int = 0
    delta: bool = False
    include_content: bool = True

    @property
    def takes_deltas(self) -> bool:
        """Whether updates come as deltas, which tell of nothing but content."""
        return self.delta and self.include_content and "updated" in self.events


class Follower:
    """A cursor on a topic. Everything up to `cursor` has been handed to the outlet, or does not match.

    `began` is the first cursor of a follower that takes deltas, behind which it is sent everything that matches; None
    for one that takes none.
    `busy` says that somebody is at work for it (not started yet, catching up from the log, or a send that suspended),
    so that the flusher passes it by; `busy_since` and `sent_at` are loop times in seconds.
    """

    __slots__ = (
        *(
            "following",
            "outlet",
            "topic",
            "cursor",
            "attached",
            "left",
            "busy",
            "busy_since",
            "sent_at",
            "not_before",
            "task",
        ),
        *("subscription", "batch_size", "include_content", "began", "deliver", "form", "throttle"),
    )

    def __init__(self, following: Following, outlet: Outlet, topic: "Topic", cursor: int) -> None:
        self.following = following
        self.subscription = following.subscription
        self.batch_size = following.batch_size
        self.include_content = following.include_content
        self.began = cursor if following.takes_deltas else None
        self.throttle = following.throttle_ms / 1000
        self.outlet = outlet
        self.deliver = outlet.deliver
        self.form = outlet.form
        self.topic = topic
        self.cursor = cursor
        self.attached = True
        self.left = False
        self.busy = True
        self.busy_since: float | None = None
        self.sent_at = 0.0
        self.not_before = 0.0
        self.task: asyncio.Task[None] | None = None
