"""uvicorn's WebSocket protocol, with what the endpoint needs beyond ASGI: writing at once, and cutting off.

Use with `uvicorn.Config(ws=Protocol)`. The endpoint works on any ASGI server without it; there, every frame costs an
event, a copy and an encoding, and a client that does not read can only be closed politely.
tests/transports/test_websocket_protocol.py holds the inside of uvicorn to what is used here.
"""

from typing import TYPE_CHECKING, Any, cast

from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from websockets.frames import Frame
from websockets.http11 import Request

from erlmcp_site.transports.pacing import Pace
from erlmcp_site.transports.websocket.codes import CloseCode
from erlmcp_site.transports.websocket.wires import EXTENSION, DirectSocket

FRAMES_PER_SECOND = 50.0
FRAMES_AT_ONCE = 500.0
"""How many pings and pongs a client may send: nobody waits for the answers to them, so nothing else slows it down."""

MAX_FRAGMENTS = 1024
"""Of one message. What bounds the size of messages does not count empty ones."""

CLOSE_SECONDS = 2.0


class Protocol(WebSocketsSansIOProtocol):
    """A WebSocketsSansIOProtocol that is also a DirectSocket, and bounds what is no message."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._pace = Pace(FRAMES_PER_SECOND, FRAMES_AT_ONCE)

    def handle_ping(self) -> None:
        super().handle_ping()
        self._count_frame()

    def handle_pong(self, event: Frame) -> None:
        super().handle_pong(event)
        self._count_frame()

    def handle_cont(self, event: Frame) -> None:
        if len(self.frames) < MAX_FRAGMENTS:
            super().handle_cont(event)
        else:
            self.frames.clear()
            self.write_close(CloseCode.BAD_MESSAGE, "a message in too many fragments", CLOSE_SECONDS)

    def _count_frame(self) -> None:
        if self._pace.take(self.loop.time()):
            self.write_close(CloseCode.RATE, "too many pings or pongs", CLOSE_SECONDS)

    def handle_connect(self, event: Request) -> None:
        super().handle_connect(event)
        if self.response.status_code == 101:
            cast(dict[str, Any], self.scope["extensions"])[EXTENSION] = self

    async def send(self, message: "ASGISendEvent") -> None:
        await super().send(message)
        if message["type"] == "websocket.http.response.body" and not message.get("more_body", False):
            # uvicorn takes a handshake that was denied for one that was forgotten, and logs an error for each
            self.handshake_complete = True

    def forget_handshake(self) -> None:
        del self.request, self.response
        cast(list[Any], self.scope["headers"]).clear()

    def write_text(self, parts: tuple[bytes, ...]) -> None:
        if self.close_sent or self.disconnected or self.transport.is_closing():
            raise ConnectionResetError("the socket is closed")
        # one writev: what followers share is not copied, neither here nor in the buffer of a client that reads slowly
        self.transport.writelines((text_head(sum(map(len, parts))), *parts))

    def write_close(self, code: int, reason: str, within: float) -> None:
        if self.close_sent or self.disconnected or self.transport.is_closing():
            return
        self.queue.put_nowait({"type": "websocket.disconnect", "code": code, "reason": reason})
        self.conn.send_close(code, reason)
        self.transport.write(b"".join(self.conn.data_to_send()))
        self.close_sent = True
        self.stop_keepalive()
        if self.read_paused:
            self.read_paused = False
            self.transport.resume_reading()
        self.close_timer = self.loop.call_later(within, self.transport.abort)


def text_head(size: int) -> bytes:
    """The head of an unmasked, unfragmented text frame (RFC 6455 §5.2)."""
    if size < 126:
        return bytes((0x81, size))
    if size < 65536:
        return b"\x81\x7e" + size.to_bytes(2, "big")
    return b"\x81\x7f" + size.to_bytes(8, "big")


if TYPE_CHECKING:
    from uvicorn._types import ASGISendEvent

    def _is_direct(protocol: Protocol) -> DirectSocket:
        return protocol
