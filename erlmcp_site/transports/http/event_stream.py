"""One stream of server-sent events: the outlet of followers, and the answer to the request that opened it."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Any

from erlmcp_site.transports.http.answers import LOCKED, NO_SNIFF, NO_STORE, Header, Receive, Send, disconnection
from erlmcp_site.transports.http.frames import PING, bookmark_frame, drain_frame, events_frame, reset_frame, retry_frame
from erlmcp_site.transports.http.incoming import Scope
from resources_app.hub.flusher import SLOW_SECONDS
from resources_app.hub.followers import Follower, Form
from resources_app.hub.hub import hub
from sessions_app.callers import Caller
from sessions_app.connected import connected
from sessions_app.records import SessionRecord

PING_SECONDS = 10.0
CLOSE_SECONDS = 2.0
RETRY_MS = 1000

EVENT_STREAM = b"text/event-stream; charset=utf-8"
STREAM_HEADERS: tuple[Header, ...] = (NO_STORE, (b"x-accel-buffering", b"no"))


class EventStream:
    """An ASGI application that lasts until the client goes, or somebody calls `end`.

    `expires_at` is the Unix time at which the token of the caller does. `on_open` is called once the client has its
    first bytes, `on_ping` every ten seconds from then on, `on_close` when all is over. `last_words` are said at an end
    that has none of its own.
    """

    transport = "sse"
    status = 200
    form: Form = staticmethod(events_frame)
    fixed_headers: tuple[Header, ...] = ((b"content-type", EVENT_STREAM), NO_SNIFF, LOCKED, *STREAM_HEADERS)
    last_words = b""

    def __init__(self) -> None:
        self.followers: dict[str, Follower] = {}
        self.headers: list[Header] = []
        self.expires_at: float | None = None
        self.on_ping: Callable[[], None] | None = None
        self.on_open: Callable[[], None] | None = None
        self.on_close: Callable[[], None] | None = None
        self.opening = retry_frame(RETRY_MS)
        self._user_id: str | None = None
        self._ended: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()
        self._send: Send | None = None
        self._sending = False

    def identify(self, caller: Caller, session: SessionRecord) -> None:
        """Called by the method `events/stream`. Raises TooManyConnections when its user has enough of them."""
        connected.enter(caller.user_id)
        self._user_id = caller.user_id

    # -- what the hub calls

    async def deliver(self, subscription: str, payload: bytes, last: int) -> None:
        await self._write(payload)

    async def bookmark(self, subscription: str, offset: int) -> None:
        await self._write(bookmark_frame(subscription, offset))

    async def reset(self, subscription: str, earliest: int, head: int) -> None:
        self.end(reset_frame(subscription, earliest, head))

    def deleted(self, subscription: str) -> None:
        self.end()

    def cut(self, subscription: str) -> None:
        self.end()

    def slow(self) -> None:
        abort(self._send)
        self.end()

    # -- what the registry of streams calls

    def end(self, last_words: bytes | None = None) -> None:
        """Say something and close the stream. May be called more than once; the first call counts."""
        if not self._ended.done():
            self._ended.set_result(self.last_words if last_words is None else last_words)

    def end_by(self, kind: str) -> None:
        """What has happened is for the client to find out: an event stream has no word for it."""
        self.end()

    def come_back(self, retry_ms: int) -> None:
        self.end(drain_frame(retry_ms))

    # -- the answer

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self._send = send
        gone = asyncio.ensure_future(disconnection(receive))
        gone.add_done_callback(lambda _: self.end())
        try:
            headers = [*self.fixed_headers, *self.headers]
            await send({"type": "http.response.start", "status": 200, "headers": headers})
            if scope["method"] != "HEAD":
                await self._write(self.opening)
                if self.on_open is not None:
                    self.on_open()
                await self._live()
            self.leave()
            await self._close(send)
        finally:
            gone.cancel()
            self.leave()

    def leave(self) -> None:
        """Let go of the followers and of whoever keeps account of this stream. May be called more than once."""
        for follower in self.followers.values():
            hub.leave(follower)
        self.followers.clear()
        if self._user_id is not None:
            connected.leave(self._user_id)
            self._user_id = None
        if self.on_close is not None:
            self.on_close()
            self.on_close = None

    async def _live(self) -> None:
        while not self._ended.done():
            left = PING_SECONDS if self.expires_at is None else min(PING_SECONDS, self.expires_at - time.time())
            if left <= 0:
                return
            await asyncio.wait((self._ended,), timeout=left)
            if self.on_ping is not None:
                self.on_ping()
            if not self._ended.done() and not self._sending:
                await self._unless_ended(self._write(PING))

    async def _unless_ended(self, writing: Awaitable[None]) -> None:
        task = asyncio.ensure_future(writing)
        await asyncio.wait((task, self._ended), timeout=SLOW_SECONDS, return_when=asyncio.FIRST_COMPLETED)
        if not task.done():
            task.cancel()
            if not self._ended.done():
                self.slow()

    async def _close(self, send: Send) -> None:
        """End the answer in order; a client that does not read is cut."""
        last_words = self._ended.result() if self._ended.done() else self.last_words
        try:
            await asyncio.wait_for(send(_body(last_words, more=False)), CLOSE_SECONDS)
        except TimeoutError:
            abort(send)

    async def _write(self, data: bytes) -> None:
        if self._send is None or self._ended.done():
            return
        self._sending = True
        try:
            await self._send(_body(data, more=True))
        finally:
            self._sending = False


def abort(send: Send | None) -> None:
    """Cut the connection below a `send` of uvicorn, whose buffers a client that does not read never drains.

    Other servers give no way to do so; there the connection ends when the server's own time limits say so.
    """
    transport = getattr(getattr(send, "__self__", None), "transport", None)
    if isinstance(transport, asyncio.Transport):
        transport.abort()


def _body(data: bytes, *, more: bool) -> dict[str, Any]:
    return {"type": "http.response.body", "body": data, "more_body": more}
