"""A WebSocket on a stream of an HTTP/2 connection (RFC 8441), as browsers open them where a server offers it."""

import asyncio
import ssl
from collections.abc import Sequence
from contextlib import suppress
from types import TracebackType
from typing import Any, Self

import orjson
from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.events import DataReceived, RemoteSettingsChanged, ResponseReceived
from h2.settings import SettingCodes
from websockets.client import ClientProtocol
from websockets.frames import Frame, Opcode
from websockets.protocol import State
from websockets.uri import parse_uri

from tests.stack.sockets import SUBPROTOCOL


class Http2Socket:
    """One WebSocket, which calls methods one after the other. Use as a context; `base` is the server's URL."""

    def __init__(self, base: str, token: str, tls: ssl.SSLContext) -> None:
        self._authority = base.removeprefix("https://")
        self._token = token
        self._tls = tls
        self._http2 = H2Connection(H2Configuration(header_encoding="utf-8"))
        # the frames of a WebSocket are the same; its handshake is not used
        self._websocket = ClientProtocol(parse_uri(f"wss://{self._authority}/"), state=State.OPEN)
        self._stream = 0
        self.messages: list[Any] = []

    async def __aenter__(self) -> Self:
        """Raises AssertionError when the server offers no WebSockets on HTTP/2, or refuses this one."""
        host, _, port = self._authority.rpartition(":")
        self._reader, self._writer = await asyncio.open_connection(host, int(port), ssl=self._tls)
        assert self._writer.get_extra_info("ssl_object").selected_alpn_protocol() == "h2"
        self._http2.initiate_connection()
        (settings,) = await self._until(RemoteSettingsChanged)
        offered = settings.changed_settings.get(SettingCodes.ENABLE_CONNECT_PROTOCOL)
        assert offered is not None and offered.new_value == 1, settings
        self._stream = self._http2.get_next_available_stream_id()
        self._http2.send_headers(
            self._stream,
            [
                *((":method", "CONNECT"), (":protocol", "websocket"), (":scheme", "https"), (":path", "/ws/v1")),
                *((":authority", self._authority), ("sec-websocket-version", "13")),
                *(("sec-websocket-protocol", SUBPROTOCOL), ("authorization", f"Bearer {self._token}")),
            ],
        )
        (response,) = await self._until(ResponseReceived)
        assert dict(response.headers)[":status"] == "200", response.headers
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._writer.close()
        with suppress(OSError):
            await self._writer.wait_closed()

    async def call(self, method: str, /, **params: Any) -> Any:
        """The result of a call; what came before it is in `messages`."""
        message = {"jsonrpc": "2.0", "id": method, "method": method, "params": params}
        self._websocket.send_text(orjson.dumps(message))
        for data in self._websocket.data_to_send():
            self._http2.send_data(self._stream, data)
        return (await self.message("id", method))["result"]

    async def message(self, name: str, value: str) -> Any:
        """The first message with this in it, of those that have come or come yet."""
        while not (found := next((one for one in self.messages if one.get(name) == value), None)):
            for event in await self._until(DataReceived):
                self._websocket.receive_data(event.data)
            frames = [frame for frame in self._websocket.events_received() if isinstance(frame, Frame)]
            self.messages += [orjson.loads(frame.data) for frame in frames if frame.opcode is Opcode.TEXT]
        return found

    async def _until(self, kind: type[Any]) -> Sequence[Any]:
        """Read until events of a kind have come, and return them."""
        while True:
            self._writer.write(self._http2.data_to_send())
            data = await self._reader.read(65536)
            assert data, "the server closed the connection"
            events = self._http2.receive_data(data)
            if found := [event for event in events if isinstance(event, kind)]:
                return found
