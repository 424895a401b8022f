"""What waits for the writer, and when it takes the next of it (docs/architecture.md §2)."""

import asyncio
import contextlib
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from queue import Empty, SimpleQueue
from typing import Any

from audit_app.commands import Command, Record
from audit_app.once import Once
from telemetry_app.tracing.context import TraceContext, current

MAX_BATCH = 512

SEVERAL, ENOUGH = 3, 12
REST_SECONDS = 0.002
MAX_RESTS = 4
"""After a batch of SEVERAL, the next one rests until ENOUGH wait, as long as SEVERAL come with each rest. A batch wakes
all who wait for it at once, which costs each of them less, the larger it is (docs/architecture.md §2)."""


@dataclass(slots=True)
class Waiting:
    """A command that waits for its commit, until its `deadline`, and how to answer whoever waits for it.

    `trace` is the span of whoever gave it.
    """

    command: Command | Record
    answer: Callable[[Any, BaseException | None], None]
    loop: asyncio.AbstractEventLoop | None = None
    deadline: float | None = None
    trace: TraceContext | None = field(default_factory=current.get)
    result: Any = None
    error: BaseException | None = None
    is_replay: bool = False

    @property
    def is_late(self) -> bool:
        """Whether nobody waits for it any more."""
        return self.deadline is not None and self.deadline <= time.monotonic()

    @property
    def once(self) -> Once | None:
        """The key under which the command is to be done once."""
        entry = self.command.entry
        return entry.once if entry is not None else None


class Gathering:
    """Commands in the order in which they came: any thread adds them, the writer's takes them, a batch at a time."""

    def __init__(self) -> None:
        self._waiting: deque[Waiting] = deque()
        # not an Event, which is written in Python and costs 5 µs more each time
        self._bell: SimpleQueue[None] = SimpleQueue()
        self._hurries = False
        self._rests = False

    def __len__(self) -> int:
        return len(self._waiting)

    def add(self, waiting: Waiting) -> None:
        """Put a command behind the others. The writer's thread is told by `tell`."""
        self._waiting.append(waiting)

    def tell(self, waiting: Waiting) -> None:
        """Wake the writer's thread for a command that was added; while it rests, only for what changes something."""
        if not isinstance(waiting.command, Record):
            self._hurries = True
        elif self._rests:
            # it looks by itself
            return
        if self._bell.empty():
            self._bell.put(None)

    def ring(self) -> None:
        """Wake the writer's thread, be there anything or not."""
        self._bell.put(None)

    def wait(self) -> None:
        """Return when there may be something."""
        self._bell.get()

    def take(self, last: int, *, at_once: bool) -> list[Waiting]:
        """The next batch, after one of `last` commands; unless `at_once`, entries may be given a moment to gather."""
        self._rest(last, at_once=at_once)
        return [self._waiting.popleft() for _ in range(min(len(self._waiting), MAX_BATCH))]

    def _rest(self, last: int, *, at_once: bool) -> None:
        """Let more entries gather while they come fast; what changes anything is not held up."""
        while not self._bell.empty():
            # who waits already is seen anyway, and who comes from now on is to be heard
            self._bell.get()
        self._rests = last >= SEVERAL and not self._hurries and not at_once
        for _ in range(MAX_RESTS if self._rests else 0):
            before = len(self._waiting)
            if before >= ENOUGH or self._is_woken(REST_SECONDS) or len(self._waiting) - before < SEVERAL:
                break
        self._rests = self._hurries = False

    def _is_woken(self, within: float) -> bool:
        """Whether somebody who does not want to wait comes within some seconds."""
        with contextlib.suppress(Empty):
            self._bell.get(timeout=within)
            return True
        return False
