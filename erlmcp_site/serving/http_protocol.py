"""uvicorn's HTTP protocol, with a bound on what a peer may send before its request is a request."""

import asyncio
from typing import Any

import orjson
from uuid_utils import uuid7
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from erlmcp_site.pipeline.errors import InvalidRequest
from erlmcp_site.transports.wire import problem

BAD_REQUEST = (
    b"HTTP/1.1 400 Bad Request\r\ncontent-type: application/problem+json\r\nrequest-id: %b\r\nconnection: close\r\n"
    b"content-length: %d\r\n\r\n%b"
)
MAX_HEAD_BYTES = 64 * 1024
HEAD_SECONDS = 10.0


class HttpProtocol(HttpToolsProtocol):
    """An HttpToolsProtocol that cuts off peers whose request line and headers are too long or do not end.

    httptools keeps a header until it is complete, however long that is.
    """

    _head_bytes = 0
    _is_in_head = True
    _head_timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: Any) -> None:
        super().connection_made(transport)
        self._await_head()

    def connection_lost(self, exc: Exception | None) -> None:
        self._head_is_complete()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        if self._is_in_head and not self.transport.is_closing():
            self._head_bytes += len(data)
            if self._head_bytes > MAX_HEAD_BYTES:
                self._cut(b"431 Request Header Fields Too Large")
            elif self._head_timer is None:
                self._await_head()

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
        super().on_headers_complete()

    def _await_head(self) -> None:
        self._head_timer = self.loop.call_later(HEAD_SECONDS, self._cut, b"408 Request Timeout")

    def _head_is_complete(self) -> None:
        self._is_in_head = False
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None

    def _cut(self, status: bytes) -> None:
        self._head_is_complete()
        self.transport.write(b"HTTP/1.1 %b\r\nconnection: close\r\ncontent-length: 0\r\n\r\n" % status)
        self.transport.close()
