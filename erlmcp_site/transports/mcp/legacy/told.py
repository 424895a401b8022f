"""What a request tells its client before its result: the stream of events that then answers the POST (R5).

Each message is left in the session's mailbox as well. So a client that lost the stream, or was sent away to come back,
has the rest of it from whichever node it asks next, by the id of the last event that it has.
"""

import asyncio
import contextlib
import secrets
from collections.abc import Callable, Mapping
from typing import Any, Final

import orjson
from mcp_types import INTERNAL_ERROR, ErrorData

from audit_app.breaker import PartAway
from audit_app.errors import Refusal
from erlmcp_site.transports.http.answers import LOCKED, NO_SNIFF, Send
from erlmcp_site.transports.http.streamed import PING, PING_SECONDS, abort
from erlmcp_site.transports.mcp.answers import SSE_HEADERS, error_message, frame, notification_message
from erlmcp_site.transports.mcp.exchange import Exchange
from erlmcp_site.transports.mcp.legacy.asked import asked, ending
from erlmcp_site.transports.mcp.legacy.handshakes import Speaker, handshakes
from erlmcp_site.transports.mcp.legacy.letters import Place, cancelled_box, event_id, stream_box
from erlmcp_site.transports.streams import streams
from sessions_app.authentication import authenticate
from sessions_app.mail.boxes import mailboxes
from sessions_app.mail.letters import BEGINNING, MAX_LETTER_BYTES

SLOW_SECONDS: Final = 10.0
"""How long a client may take nothing before it counts as gone."""

RETRY_MS: Final = 1000
WITH_PRIMING: Final = "2025-11-25"
"""The first revision whose clients know events without a message, which only say where a stream begins."""

TOO_LARGE: Final = ErrorData(code=INTERNAL_ERROR, message="The result is too large to be kept; ask again")


class ToldStream:
    """The channel of an exchange. It is open once something was told; a client that goes away cancels nothing."""

    can_request = True

    def __init__(self, exchange: Exchange, speaker: Speaker, send: Send, cancel: Callable[[], object]) -> None:
        self.is_open = False
        self.expires_at: float | None = None
        self.on_ping: Callable[[], None] | None = None
        self.on_close: Callable[[], None] | None = None
        self._exchange = exchange
        self._speaker = speaker
        self._send: Send | None = send
        self._cancel = cancel
        self._name = secrets.token_hex(8)
        self._number = 0
        self._asking: set[str] = set()
        self._is_ending = False
        self._in_order = asyncio.Lock()
        self._pinging: asyncio.Task[None] | None = None

    # -- what handlers call

    async def notify(self, method: str, params: Mapping[str, Any]) -> None:
        await self.say(notification_message(method, params))

    async def request(self, method: str, params: Mapping[str, Any]) -> dict[str, Any]:
        if self._is_ending:
            raise ending()
        id = f"{self._name}-{secrets.token_hex(4)}"
        message = orjson.dumps({"jsonrpc": "2.0", "id": id, "method": method, "params": dict(params)})
        self._asking.add(id)
        try:
            return await asked.ask(self._speaker.session.id, id, lambda: self.say(message))
        finally:
            self._asking.discard(id)

    async def close(self) -> None:
        """Send the client away, if it can come back for the rest."""
        if self._speaker.handshake.version >= WITH_PRIMING:
            async with self._in_order:
                await self._open()
                await self._write(b"", is_last=True)

    async def say(self, message: bytes, *, is_last: bool = False) -> None:
        """Tell the client something, now or when it comes for it; after the last message there is nothing more."""
        async with self._in_order:
            await self._open()
            self._number += 1
            place = Place(self._name, self._number)
            await self._keep(place, message, is_last=is_last)
            await self._write(frame(message, event_id(place)), is_last=is_last)

    # -- what the registry of streams calls

    def end_by(self, kind: str) -> None:
        """The session or its token is no more: what runs for it ends, too."""
        self._cancel()

    def come_back(self, retry_ms: int) -> None:
        """What runs here runs to its end, and the client can have it from other nodes; it is waited for no more."""
        self._is_ending = True
        for id in self._asking:
            asked.give_up(self._speaker.session.id, id)

    def leave(self) -> None:
        """Nothing will be told any more. May be called more than once."""
        if self._pinging is not None:
            self._pinging.cancel()
            self._pinging = None
        if self.on_close is not None:
            self.on_close()
            self.on_close = None

    async def end(self) -> None:
        """Close a stream that has said all that it will, though not its last message."""
        await self._write(b"", is_last=True)

    async def _open(self) -> None:
        if self.is_open:
            return
        self.is_open = True
        caller, session = self._speaker.caller, self._speaker.session
        streams.add(self, session=session.id, family=caller.family, user=caller.user_id)
        try:
            # what was revoked before the stream was kept did not find it
            incoming = self._exchange.incoming
            await handshakes.speaker(incoming, await authenticate(incoming.credentials))
        except Refusal:
            self._cancel()
        start = Place(self._name, 0)
        await self._keep(start, b"")
        if self._send is not None:
            headers = [NO_SNIFF, LOCKED, *SSE_HEADERS, *self._exchange.headers]
            await self._send({"type": "http.response.start", "status": 200, "headers": headers})
            if self._speaker.handshake.version >= WITH_PRIMING:
                await self._write(b"id: %b\nretry: %d\ndata: \n\n" % (event_id(start).encode(), RETRY_MS))
        self._pinging = asyncio.ensure_future(self._ping())

    async def _keep(self, place: Place, message: bytes, *, is_last: bool = False) -> None:
        """Leave a message for a client that comes back; while the mailboxes are away, it has only what it is sent."""
        if len(message) > MAX_LETTER_BYTES:
            message = error_message(self._exchange.id, TOO_LARGE) if is_last else b""
        with contextlib.suppress(PartAway):
            await mailboxes.post(self._speaker.session.id, stream_box(place, is_last=is_last), message)

    async def _write(self, data: bytes, *, is_last: bool = False) -> None:
        send = self._send
        if send is None:
            return
        if is_last:
            self._send = None
        try:
            async with asyncio.timeout(SLOW_SECONDS):
                await send({"type": "http.response.body", "body": data, "more_body": not is_last})
        except TimeoutError:
            abort(send)
            self._send = None

    async def _ping(self) -> None:
        """Keep the connection, and see whether the client has cancelled its request where nobody could tell us."""
        session_id, box, place = self._speaker.session.id, cancelled_box(self._exchange.id), BEGINNING
        while True:
            await asyncio.sleep(PING_SECONDS)
            if not self._in_order.locked():
                await self._write(PING)
            with contextlib.suppress(PartAway):
                for letter in await mailboxes.read(session_id, place):
                    place = letter.place
                    if letter.box == box:
                        self._cancel()
