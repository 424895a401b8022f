"""The event streams of this process, so that they can be ended: by a suspension, a revocation, a changed user, a drain.

A stream is one answer that goes on until somebody ends it (SSE, gRPC); sockets, which do more, have a registry of
their own.
"""

import asyncio
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Protocol

from erlmcp_site.methods.catalogue import pipeline
from erlmcp_site.node import node
from erlmcp_site.pipeline.messages import Reply, Request, Unread
from erlmcp_site.transports.admission import admission
from erlmcp_site.transports.ends import note_end
from resources_app.hub.hub import CONTROL_LOST, hub
from resources_app.log.control import ControlEvent
from sessions_app.authentication import authenticate
from sessions_app.connected import connected
from sessions_app.errors import Crowded
from sessions_app.sessions import session_for, touch

CUTTING = frozenset(
    {"session.suspended", "session.terminating", "session.closed", "session.dead", "family.revoked", "user.changed"}
)
DRAIN_BATCHES = 20


class Stream(Protocol):
    """A stream, as far as keeping it goes.

    `expires_at` is the Unix time at which the token of the caller does. The stream calls `on_ping` every ten seconds or
    so while it lives, and `on_close` when all is over.
    """

    expires_at: float | None
    on_ping: Callable[[], None] | None
    on_close: Callable[[], None] | None

    def end_by(self, kind: str) -> None:
        """End, because of a control event of this kind; the first that ends it counts."""

    def come_back(self, retry_ms: int) -> None:
        """End, and tell the client to come back in so many milliseconds: this process cannot go on with it."""


class Streams:
    """Open streams by what can end them: ("session" | "family" | "user", id). While the node drains none stays."""

    def __init__(self) -> None:
        self._by_key: dict[tuple[str, str], set[Stream]] = {}
        self._open: dict[Stream, tuple[tuple[str, str], ...]] = {}

    def __len__(self) -> int:
        return len(self._open)

    def __iter__(self) -> Iterator[Stream]:
        return iter(list(self._open))

    async def keep(self, stream: Stream, request: Request, session_id: str | None) -> str:
        """Have a stream end with its session, its token, or a change of its user, and keep the session awake.

        Returns the id of the session. Raises what the pipeline would refuse such a caller with, when that has come to
        pass since it let this one in.
        """
        caller = await authenticate(request.credentials)
        session = await session_for(caller, session_id, request.client_id)
        stream.expires_at = caller.expires_at
        stream.on_ping = lambda: touch(session)
        self.add(
            stream,
            session=session.id,
            family=caller.family,
            user=caller.user_id,
            then=lambda: note_end(request, caller, session.id, {}),
        )
        # what was revoked before the stream was kept did not find it
        await session_for(await authenticate(request.credentials), session.id, request.client_id)
        return session.id

    def add(
        self, stream: Stream, *, session: str, family: str, user: str, then: Callable[[], None] | None = None
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
            stream.come_back(admission.retry_ms(1))

    def follow_control(self, event: ControlEvent) -> None:
        """End the streams that an event of the control stream concerns; all, when such events have been missed."""
        if event.kind == CONTROL_LOST:
            for stream in self:
                stream.come_back(admission.retry_ms(len(self)))
        elif event.kind in CUTTING:
            for stream in list(self._by_key.get((event.kind.partition(".")[0], event.subject), ())):
                stream.end_by(event.kind)

    async def drain(self, within: float) -> None:
        """End all streams, a part at a time over half of `within` seconds, and tell their clients to come back."""
        waiting, all_of_us = list(self._open), max(len(self._open), connected.total)
        size = -(-len(waiting) // DRAIN_BATCHES) or 1
        for first in range(0, len(waiting), size):
            for stream in waiting[first : first + size]:
                stream.come_back(admission.retry_ms(all_of_us))
            await asyncio.sleep(within / 2 / DRAIN_BATCHES)

    def _remove(self, stream: Stream) -> None:
        for key in self._open.pop(stream, ()):
            streams = self._by_key[key]
            streams.discard(stream)
            if not streams:
                del self._by_key[key]


async def admitted(request: Request) -> Reply:
    """The answer to a request for a stream, when its turn has come."""
    try:
        async with admission.turn():
            return await pipeline.run(request)
    except Crowded as crowded:
        return await pipeline.run(replace(request, unread=request.unread or Unread(refusal=crowded)))


streams = Streams()
hub.on_control(streams.follow_control)
node.on_drain(streams.drain)
