"""Answers over HTTP that go on until somebody ends them: server-sent events, of whatever transport."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Any, Final

from erlmcp_site.transports.http.answers import Header, Receive, Send, disconnection
from erlmcp_site.transports.http.incoming import Scope
from resources_app.hub.flusher import SLOW_SECONDS
from resources_app.hub.followers import Follower
from resources_app.hub.hub import hub
from sessions_app.callers import Caller
from sessions_app.connected import connected
from sessions_app.records import SessionRecord

PING: Final = b": ping\n\n"
PING_SECONDS = 10.0
CLOSE_SECONDS = 2.0


class StreamedAnswer:
    """An ASGI application that lasts until the client goes, or somebody calls `end`: what outlets of HTTP have in
    common.

    `opening` is written first. `expires_at` is the Unix time at which the token of the caller does. `on_open` is called
    once the client has its first bytes, `on_ping` every ten seconds from then on, `on_close` when all is over.
    `last_words` are said at an end that has none of its own. `headers` are besides the fixed ones.
    """

    status = 200
    fixed_headers: tuple[Header, ...] = ()
    last_words = b""

    def __init__(self, opening: bytes = b"") -> None:
        self.followers: dict[str, Follower] = {}
        self.headers: list[Header] = []
        self.expires_at: float | None = None
        self.on_ping: Callable[[], None] | None = None
        self.on_open: Callable[[], None] | None = None
        self.on_close: Callable[[], None] | None = None
        self.opening = opening
        self._user_id: str | None = None
        self._ended: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()
        self._send: Send | None = None
        self._sending = False

    def identify(self, caller: Caller, session: SessionRecord) -> None:
        """Called by the method that begins to follow. Raises TooManyConnections when its user has enough of them."""
        connected.enter(caller.user_id)
        self._user_id = caller.user_id

    def slow(self) -> None:
        """The client does not read: cut it."""
        abort(self._send)
        self.end()

    def end(self, last_words: bytes | None = None) -> None:
        """Say something and close the stream. May be called more than once; the first call counts."""
        if not self._ended.done():
            self._ended.set_result(self.last_words if last_words is None else last_words)

    def end_by(self, kind: str) -> None:
        """What has happened is for the client to find out: an event stream has no word for it."""
        self.end()

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
