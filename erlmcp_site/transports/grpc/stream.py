"""One stream of Follow: the outlet of a follower, and the answer to the RPC that opened it."""

import asyncio
import time
from collections.abc import Callable

from audit_app.errors import Refusal, Unavailable
from erlmcp_site.transports.grpc.events import Payload, joined
from erlmcp_site.transports.grpc.generated import subscriptions_pb2 as messages
from erlmcp_site.transports.grpc.incoming import Context
from resources_app.errors import Reset
from resources_app.hub.followers import Follower, Form
from resources_app.hub.hub import hub
from resources_app.subscriptions import SubscriptionNotFound
from sessions_app.callers import Caller
from sessions_app.connected import connected
from sessions_app.errors import Forbidden, Unauthenticated
from sessions_app.records import SessionRecord

PING_SECONDS = 10.0
CLOSE_SECONDS = 2.0


class EventStream:
    """Lasts until the client goes, or somebody ends it; then `refusal` says why.

    What is written goes through one place for one payload, so that whoever hands over the next waits while the client
    reads too slowly. `expires_at` is the Unix time at which the token of the caller does.
    """

    transport = "grpc"
    form: Form = staticmethod(joined)

    def __init__(self, context: Context) -> None:
        self.followers: dict[str, Follower] = {}
        self.refusal: Refusal | None = None
        self.expires_at: float | None = None
        self.on_ping: Callable[[], None] | None = None
        self.on_close: Callable[[], None] | None = None
        self._user_id: str | None = None
        self._context = context
        self._loop = asyncio.get_running_loop()
        self._payload: Payload | None = None
        self._last_words: Payload = ()
        self._news: asyncio.Future[None] = self._loop.create_future()
        self._room: asyncio.Future[None] | None = None
        self._cutting: asyncio.TimerHandle | None = None
        self._task: asyncio.Task[None] | None = None

    def identify(self, caller: Caller, session: SessionRecord) -> None:
        """Called by the method `events/stream`. Raises TooManyConnections when its user has enough of them."""
        connected.enter(caller.user_id)
        self._user_id = caller.user_id

    # -- what the hub calls

    async def deliver(self, subscription: str, payload: Payload, last: int) -> None:
        while self._payload is not None and self.refusal is None:
            self._room = self._room or self._loop.create_future()
            await self._room
        if self.refusal is None:
            self._payload = payload
            self._tell()

    async def bookmark(self, subscription: str, offset: int) -> None:
        message = messages.FollowResponse(bookmark=messages.Bookmark(offset=offset))
        await self.deliver(subscription, (message.SerializeToString(),), offset)

    async def reset(self, subscription: str, earliest: int, head: int) -> None:
        message = messages.FollowResponse(reset=messages.Reset(earliest=earliest, head=head))
        self.end(Reset(earliest=earliest, head=head), message)

    def deleted(self, subscription: str) -> None:
        self.end(SubscriptionNotFound())

    def cut(self, subscription: str) -> None:
        self.end(Forbidden("You may not follow this any more."))

    def slow(self) -> None:
        self.end(Unavailable("The client does not read."))
        self._cut()

    # -- what the registry of streams calls

    def end_by(self, kind: str) -> None:
        subject, _, what = kind.partition(".")
        if subject == "family":
            self.end(Unauthenticated("The token was revoked."))
        elif subject == "session":
            self.end(Forbidden(f"The session is {what}."))
        else:
            self.end(Unavailable("The rights of this user have changed.", retry_after=0.0))

    def come_back(self, retry_ms: int) -> None:
        message = messages.FollowResponse(drain=messages.Drain(retry_ms=retry_ms))
        self.end(Unavailable("This server is restarting.", retry_after=retry_ms / 1000), message)

    def end(self, refusal: Refusal, last_words: messages.FollowResponse | None = None) -> None:
        """Deliver no more, say something, and end the stream. May be called more than once; the first call counts."""
        if self.refusal is None:
            self.refusal = refusal
            if last_words is not None:
                self._last_words = (last_words.SerializeToString(),)
            self._cutting = self._loop.call_later(CLOSE_SECONDS, self._cut)
            self._tell()
            self._make_room()

    # -- the answer

    async def live(self, opening: bytes, begin: Callable[[], None] | None) -> None:
        """Write the opening, then begin, then whatever is handed over; returns when the stream has been ended."""
        self._task = asyncio.current_task()
        try:
            await self._context.write(opening)
            if begin is not None:
                begin()
            while self.refusal is None:
                if self._payload is None:
                    await self._wait()
                else:
                    await self._write(self._payload)
                    self._payload = None
                    self._make_room()
            await self._write(self._last_words)
        except asyncio.CancelledError:
            # by us, because the client does not read: then there is a status to tell
            if self.refusal is None or self._task is None or self._task.uncancel():
                raise

    def leave(self) -> None:
        """Let go of the follower and of whoever keeps account of this stream. May be called more than once."""
        for follower in self.followers.values():
            hub.leave(follower)
        self.followers.clear()
        if self._user_id is not None:
            connected.leave(self._user_id)
            self._user_id = None
        if self._cutting is not None:
            self._cutting.cancel()
        self._task = None
        if self.on_close is not None:
            self.on_close()
            self.on_close = None

    async def _wait(self) -> None:
        left = PING_SECONDS if self.expires_at is None else min(PING_SECONDS, self.expires_at - time.time())
        if left <= 0:
            self.end(Unauthenticated("The token has expired."))
            return
        if self._news.done():
            self._news = self._loop.create_future()
            return
        timer = self._loop.call_later(left, self._tell)
        await self._news
        timer.cancel()
        self._news = self._loop.create_future()
        if self.on_ping is not None and self._payload is None:
            self.on_ping()

    async def _write(self, payload: Payload) -> None:
        for message in payload:
            await self._context.write(message)

    def _tell(self) -> None:
        if not self._news.done():
            self._news.set_result(None)

    def _make_room(self) -> None:
        if self._room is not None:
            if not self._room.done():
                self._room.set_result(None)
            self._room = None

    def _cut(self) -> None:
        if self._task is not None:
            self._task.cancel()
