"""The rest of an answer to a POST, for a client that comes back for it by the id of the last event that it has."""

import asyncio
import contextlib
from typing import Final

from audit_app.breaker import PartAway
from erlmcp_site.pipeline.messages import Reply, Request
from erlmcp_site.transports.mcp.answers import frame
from erlmcp_site.transports.mcp.exchange import Exchange
from erlmcp_site.transports.mcp.following import NotificationStream
from erlmcp_site.transports.mcp.legacy.letters import Place, event_id, read_stream_box
from erlmcp_site.transports.streams import admitted
from resources_app.hub.flusher import SLOW_SECONDS
from sessions_app.mail.boxes import mailboxes
from sessions_app.mail.letters import BEGINNING, LETTER_SECONDS

QUIET_SECONDS: Final = float(LETTER_SECONDS)
"""After so long without news whoever worked for the stream is no more."""


class ResumedStream(NotificationStream):
    """Tells what a session's mailbox has of a stream behind some place, and then ends."""

    def __init__(self, exchange: Exchange, session_id: str, place: Place) -> None:
        super().__init__()
        self.opening = b": resumed\n\n"
        self.on_open = self._start
        self._exchange = exchange
        self._session_id = session_id
        self._place = place
        self._task: asyncio.Task[None] | None = None

    async def admit(self) -> tuple[Request, Reply]:
        """Ask for a stream that follows nothing."""
        request = self._exchange.request("events/listen", {"uris": []}, self)
        return request, await admitted(request)

    def leave(self) -> None:
        if self._task is not None:
            self._task.cancel()
            self._task = None
        super().leave()

    def _start(self) -> None:
        self._task = asyncio.ensure_future(self._tell())
        self._task.add_done_callback(lambda _: self.end())

    async def _tell(self) -> None:
        loop = asyncio.get_running_loop()
        place, news, is_known = BEGINNING, loop.time(), False
        with mailboxes.waiting(self._session_id) as bell:
            while loop.time() - news < QUIET_SECONDS:
                with contextlib.suppress(PartAway):
                    for letter in await mailboxes.read(self._session_id, place):
                        place = letter.place
                        part = read_stream_box(letter, self._place.stream)
                        if part is None:
                            continue
                        is_known, news = True, loop.time()
                        await self._tell_of(part[0], letter.text)
                        if part[1]:
                            return
                    if not is_known:
                        return
                await bell.wait()

    async def _tell_of(self, number: int, message: bytes) -> None:
        if number > self._place.number and message:
            try:
                async with asyncio.timeout(SLOW_SECONDS):
                    await self._write(frame(message, event_id(Place(self._place.stream, number))))
            except TimeoutError:
                self.slow()
