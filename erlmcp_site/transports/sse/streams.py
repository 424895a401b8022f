"""The streams of this process, so that they can be cut: by a suspension, a revocation, a changed user, or a drain."""

import asyncio
import random
from collections.abc import Callable, Iterator

from erlmcp_site.node import node
from erlmcp_site.transports.sse.frames import retry_frame
from erlmcp_site.transports.sse.stream import EventStream
from resources_app.hub.hub import CONTROL_LOST
from resources_app.log.control import ControlEvent

CUTTING = frozenset(
    {"session.suspended", "session.terminating", "session.closed", "session.dead", "family.revoked", "user.changed"}
)
DRAIN_BATCHES = 20
DRAIN_RETRY_MS = 3000


class Streams:
    """Open streams by what can end them: ("session" | "family" | "user", id). While the node drains none stays."""

    def __init__(self) -> None:
        self._by_key: dict[tuple[str, str], set[EventStream]] = {}
        self._open: dict[EventStream, tuple[tuple[str, str], ...]] = {}

    def __len__(self) -> int:
        return len(self._open)

    def __iter__(self) -> Iterator[EventStream]:
        return iter(list(self._open))

    def add(
        self, stream: EventStream, *, session: str, family: str, user: str, then: Callable[[], None] | None = None
    ) -> None:
        """Keep a stream until it closes; `then` is called when it has."""
        keys = (("session", session), ("family", family), ("user", user))
        self._open[stream] = keys
        for key in keys:
            self._by_key.setdefault(key, set()).add(stream)

        def closed() -> None:
            self._remove(stream)
            if then is not None:
                then()

        stream.on_close = closed
        if node.draining.is_set():
            stream.end(_come_back())

    def follow_control(self, event: ControlEvent) -> None:
        """End the streams that an event of the control stream concerns; all, when such events have been missed."""
        if event.kind == CONTROL_LOST:
            for stream in self:
                stream.end(_come_back())
        elif event.kind in CUTTING:
            for stream in list(self._by_key.get((event.kind.partition(".")[0], event.subject), ())):
                stream.end()

    async def drain(self, within: float) -> None:
        """End all streams, a part at a time over half of `within` seconds, and tell their clients to come back."""
        waiting = list(self._open)
        size = -(-len(waiting) // DRAIN_BATCHES) or 1
        for first in range(0, len(waiting), size):
            for stream in waiting[first : first + size]:
                stream.end(_come_back())
            await asyncio.sleep(within / 2 / DRAIN_BATCHES)

    def _remove(self, stream: EventStream) -> None:
        for key in self._open.pop(stream, ()):
            streams = self._by_key[key]
            streams.discard(stream)
            if not streams:
                del self._by_key[key]


def _come_back() -> bytes:
    return retry_frame(random.randint(0, DRAIN_RETRY_MS))


streams = Streams()
