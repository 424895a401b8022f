"""uvicorn's HTTP protocol, with bounds for peers that send without end, slowly, or do not take what they asked for."""

import asyncio
from typing import Any

import orjson
from uuid_utils import uuid7
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

from erlmcp_site.pipeline.errors import InvalidRequest
from erlmcp_site.serving.http_cycle import HttpCycle
from erlmcp_site.transports.wire import problem

BAD_REQUEST = (
    b"HTTP/1.1 400 Bad Request\r\ncontent-type: application/problem+json\r\nrequest-id: %b\r\nconnection: close\r\n"
    b"content-length: %d\r\n\r\n%b"
)
MAX_HEAD_BYTES = 64 * 1024
HEAD_SECONDS = 10.0
BODY_SECONDS = 20.0
BODY_BYTES_PER_SECOND = 4096
"""A body may take this long, and a second more for so many bytes that have come."""

UNREAD_SECONDS = 15.0
"""An answer of which nothing is taken for so long is not sent to its end."""


class HttpProtocol(HttpToolsProtocol):
    """An HttpToolsProtocol that cuts off peers whose request does not end, or who do not read the answer.

    httptools keeps a header until it is complete, however long that is; uvicorn waits for ever for the rest of a body,
    and for whoever stops reading. A request that arrives whole, as nearly all do, has no timer.
    """

    _head_bytes = 0
    _is_in_head = True
    _head_timer: asyncio.TimerHandle | None = None
    _is_in_body = False
    _body_bytes = 0
    _body_since = 0.0
    _body_timer: asyncio.TimerHandle | None = None
    _unread_timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: Any) -> None:
        super().connection_made(transport)
        self._await_head()

    def connection_lost(self, exc: Exception | None) -> None:
        self._head_is_complete()
        self._body_is_complete()
        self._stop_looking()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        if self._is_in_head and not self.transport.is_closing():
            self._head_bytes += len(data)
            if self._head_bytes > MAX_HEAD_BYTES:
                self._cut(b"431 Request Header Fields Too Large")
            elif self._head_timer is None:
                self._await_head()
        elif self._is_in_body:
            self._body_bytes += len(data)
            if self._body_timer is None:
                self._body_since = self.loop.time()
                self._body_timer = self.loop.call_later(BODY_SECONDS, self._look_at_body)

    def send_400_response(self, msg: str) -> None:
        """What cannot be read as HTTP is refused like everything else (contract §7)."""
        self._head_is_complete()
        id = str(uuid7())
        body = orjson.dumps(problem(InvalidRequest("This is not a valid HTTP request."), id, 400))
        self.transport.write(BAD_REQUEST % (id.encode(), len(body), body))
        self.transport.close()

    def on_message_begin(self) -> None:
        self._is_in_head = True
        self._head_bytes = 0
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        self._head_is_complete()
        self._is_in_body, self._body_bytes = True, 0
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        self._body_is_complete()
        super().on_message_complete()

    def handle_websocket_upgrade(self) -> None:
        self._body_is_complete()
        super().handle_websocket_upgrade()

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: Any) -> None:
        # uvicorn makes cycles of its own class, and has no place to name another
        cycle.__class__ = HttpCycle
        super()._start_asgi_task(cycle, app)

    def pause_writing(self) -> None:
        super().pause_writing()
        self._look_again(self.transport.get_write_buffer_size())

    def resume_writing(self) -> None:
        super().resume_writing()
        self._stop_looking()

    def timeout_keep_alive_handler(self) -> None:
        super().timeout_keep_alive_handler()
        # closing waits for what the peer has not taken yet
        if self.transport.get_write_buffer_size():
            self.transport.abort()

    def _await_head(self) -> None:
        self._head_timer = self.loop.call_later(HEAD_SECONDS, self._cut, b"408 Request Timeout")

    def _head_is_complete(self) -> None:
        self._is_in_head = False
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None

    def _body_is_complete(self) -> None:
        self._is_in_body = False
        if self._body_timer is not None:
            self._body_timer.cancel()
            self._body_timer = None

    def _look_at_body(self) -> None:
        """Wait on for a body that comes fast enough, or that we do not read ourselves at present."""
        now = self.loop.time()
        if self.flow.read_paused:
            self._body_since, self._body_bytes = now, 0
        left = self._body_since + BODY_SECONDS + self._body_bytes / BODY_BYTES_PER_SECOND - now
        if left > 0:
            self._body_timer = self.loop.call_later(left, self._look_at_body)
        elif self.cycle.response_started:
            self.transport.abort()
        else:
            self._cut(b"408 Request Timeout")

    def _look_again(self, unread: int) -> None:
        self._stop_looking()
        self._unread_timer = self.loop.call_later(UNREAD_SECONDS, self._look_at_unread, unread)

    def _look_at_unread(self, before: int) -> None:
        unread = self.transport.get_write_buffer_size()
        if unread < before:
            self._look_again(unread)
        else:
            self.transport.abort()

    def _stop_looking(self) -> None:
        if self._unread_timer is not None:
            self._unread_timer.cancel()
            self._unread_timer = None

    def _cut(self, status: bytes) -> None:
        self._head_is_complete()
        self._body_is_complete()
        self.transport.write(b"HTTP/1.1 %b\r\nconnection: close\r\ncontent-length: 0\r\n\r\n" % status)
        self.transport.close()
