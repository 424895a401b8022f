"""Where the frames of a socket go: straight to uvicorn's protocol where we can, else through ASGI."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Protocol

Send = Callable[[Mapping[str, Any]], Awaitable[None]]

EXTENSION = "erlmcp.socket"
"""The name under which a server offers a DirectSocket in the extensions of the scope."""

CLOSE_SECONDS = 3.0
"""How long a client may take to read what is left and to answer the close frame, before it is cut off."""


class Wire(Protocol):
    """One socket, as far as writing goes."""

    def opened(self) -> None:
        """The handshake has been accepted, and its headers are not needed any more."""

    async def send(self, *parts: bytes) -> None:
        """Write the parts as one text frame; suspends while the client reads too slowly.

        Raises ConnectionError when the socket is closed.
        """

    def post(self, text: bytes) -> None:
        """Write a frame, unless the client reads too slowly at the moment."""

    def end(self, code: int, reason: str, text: bytes | None = None) -> None:
        """Close the socket, after a last frame if there is room for one; a client that does not react is cut off."""


class DirectSocket(Protocol):
    """What a server offers beyond ASGI."""

    writable: asyncio.Event
    """Set while the client keeps up."""

    def forget_handshake(self) -> None:
        """Free the headers of a handshake that has been accepted: several KB for a socket that idles for hours."""

    def write_text(self, parts: tuple[bytes, ...]) -> None:
        """Write one text frame without waiting. Raises ConnectionError when the socket is closed."""

    def write_close(self, code: int, reason: str, within: float) -> None:
        """Write a close frame without waiting; abort the connection when the peer has not answered in time."""


class DirectWire:
    """Writes to the server's own socket: no event per frame, and no copy of what followers share."""

    __slots__ = ("_socket",)

    def __init__(self, socket: DirectSocket) -> None:
        self._socket = socket

    def opened(self) -> None:
        self._socket.forget_handshake()

    async def send(self, *parts: bytes) -> None:
        socket = self._socket
        while not socket.writable.is_set():
            await socket.writable.wait()
        socket.write_text(parts)

    def post(self, text: bytes) -> None:
        if self._socket.writable.is_set():
            try:
                self._socket.write_text((text,))
            except ConnectionError:
                return

    def end(self, code: int, reason: str, text: bytes | None = None) -> None:
        if text is not None:
            self.post(text)
        self._socket.write_close(code, reason, CLOSE_SECONDS)


class AsgiWire:
    """Writes through ASGI, on any server. The task that serves the socket is cancelled when a close cannot be sent."""

    __slots__ = ("_ending", "_posts", "_send", "_serving")

    def __init__(self, send: Send) -> None:
        self._send = send
        self._serving = asyncio.current_task()
        self._ending: asyncio.Task[None] | None = None
        self._posts: set[asyncio.Task[None]] = set()

    def opened(self) -> None:
        pass

    async def send(self, *parts: bytes) -> None:
        try:
            await self._send({"type": "websocket.send", "text": b"".join(parts).decode()})
        except (RuntimeError, OSError) as error:
            raise ConnectionResetError(str(error)) from error

    def post(self, text: bytes) -> None:
        task = asyncio.get_running_loop().create_task(self._try_to_send(text))
        self._posts.add(task)
        task.add_done_callback(self._posts.discard)

    def end(self, code: int, reason: str, text: bytes | None = None) -> None:
        if self._ending is None:
            self._ending = asyncio.get_running_loop().create_task(self._end(code, reason, text))
            self._ending.add_done_callback(self._cut_unless_closed)

    async def _end(self, code: int, reason: str, text: bytes | None) -> None:
        async with asyncio.timeout(CLOSE_SECONDS):
            if text is not None:
                await self._try_to_send(text)
            await self._send({"type": "websocket.close", "code": int(code), "reason": reason})

    def _cut_unless_closed(self, ending: asyncio.Task[None]) -> None:
        if not ending.cancelled() and ending.exception() is not None and self._serving is not None:
            self._serving.cancel()

    async def _try_to_send(self, text: bytes) -> None:
        try:
            await self.send(text)
        except OSError:
            return


def wire_of(scope: Mapping[str, Any], send: Send) -> Wire:
    """The best wire that the server of this scope has. To be called in the task that serves the socket."""
    socket = (scope.get("extensions") or {}).get(EXTENSION)
    return AsgiWire(send) if socket is None else DirectWire(socket)
