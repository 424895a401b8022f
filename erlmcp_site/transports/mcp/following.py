"""What one client of MCP follows, told as notifications: that something has changed (design page mcp.md, R4 and R5).

It follows the hub as clients of other transports do. Several changes of one resource that were not sent yet are one
notification: it tells of the last one.
"""

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any, Final, NamedTuple

from erlmcp_site.methods.lists import lists
from erlmcp_site.transports.http.answers import LOCKED, NO_SNIFF
from erlmcp_site.transports.http.streamed import StreamedAnswer
from erlmcp_site.transports.mcp.answers import SSE_HEADERS, frame, notification_message, place_of
from resources_app.hub.flusher import SLOW_SECONDS
from resources_app.hub.followers import Form
from resources_app.hub.hub import hub
from resources_app.log.events import LoggedEvent
from sessions_app.callers import Caller
from sessions_app.connected import listening
from sessions_app.records import SessionRecord

UPDATED: Final = "notifications/resources/updated"


class Latest(NamedTuple):
    """The last of some changes of one resource."""

    version: int
    offset: int


def latest(events: Sequence[LoggedEvent], texts: Sequence[str]) -> Latest:
    """The form in which a client is told of changes of one resource."""
    return Latest(events[-1].version, events[-1].offset)


class NotificationStream(StreamedAnswer):
    """The outlet of one client, and an answer that tells of what it follows, for as long as it lasts.

    The method `events/listen` makes its followers, one a URI. Each is begun once the answer is on its way; what is told
    of lists before that waits. `meta` is put into the `_meta` of every notification. A client that does not read is
    cut. Where continuity cannot be proven the stream ends: the client reads again what it has, and comes back.
    """

    transport = "mcp"
    form: Form = staticmethod(latest)
    fixed_headers = (*SSE_HEADERS, NO_SNIFF, LOCKED)

    def __init__(self) -> None:
        super().__init__()
        self.spellings: dict[str, str] = {}
        self.meta: dict[str, Any] = {}
        self._changed: dict[str, None] = {}
        self._telling: asyncio.Task[None] | None = None
        self._has_begun = False

    def identify(self, caller: Caller, session: SessionRecord) -> None:
        """Called by the method `events/listen`. Raises RateLimited when its user has enough of them."""
        if self._user_id is None:
            listening.enter(caller.user_id)
            try:
                super().identify(caller, session)
            except BaseException:
                listening.leave(caller.user_id)
                raise

    async def notify(self, method: str, params: Mapping[str, Any]) -> None:
        """Tell the client something; suspends while it reads too slowly."""
        await self._write(frame(notification_message(method, params)))

    def begin(self) -> None:
        """From now on the client may be told of lists, too: the answer is on its way."""
        self._has_begun = True
        self._tell_lists()

    def unfollow(self, uri: str) -> None:
        """Tell the client no more of a (normalised) URI. One that it does not follow is no error."""
        follower = self.followers.pop(uri, None)
        self.spellings.pop(uri, None)
        if follower is not None:
            hub.leave(follower)

    # -- what the hub calls

    async def deliver(self, subscription: str, payload: Latest, last: int) -> None:
        meta = {**place_of(payload.version, payload.offset), **self.meta}
        await self.notify(UPDATED, {"uri": self.spellings.get(subscription, subscription), "_meta": meta})

    async def bookmark(self, subscription: str, offset: int) -> None:
        """There is nothing to resume from: a client that comes back reads again."""

    async def reset(self, subscription: str, earliest: int, head: int) -> None:
        self.end()

    def cut(self, subscription: str) -> None:
        """The client may follow this no more; the rest goes on."""
        self.unfollow(subscription)

    def deleted(self, subscription: str) -> None:
        """What is followed here is no durable subscription."""

    # -- what the registry of streams calls

    def come_back(self, retry_ms: int) -> None:
        self.end()

    # -- what the lists call

    def list_changed(self, name: str) -> None:
        self._changed[name] = None
        self._tell_lists()

    # -- the end

    def leave(self) -> None:
        lists.leave(self)
        if self._user_id is not None:
            listening.leave(self._user_id)
        if self._telling is not None:
            self._telling.cancel()
            self._telling = None
        super().leave()

    def _tell_lists(self) -> None:
        if self._has_begun and self._changed and self._telling is None:
            self._telling = asyncio.ensure_future(self._tell_of_lists())
            self._telling.add_done_callback(self._told)

    async def _tell_of_lists(self) -> None:
        while self._changed:
            name = next(iter(self._changed))
            del self._changed[name]
            async with asyncio.timeout(SLOW_SECONDS):
                await self.notify(f"notifications/{name}/list_changed", {"_meta": self.meta} if self.meta else {})

    def _told(self, task: asyncio.Task[None]) -> None:
        if task.cancelled():
            return
        self._telling = None
        if task.exception() is not None:
            # it does not read, or has gone
            self.slow()
        else:
            self._tell_lists()
