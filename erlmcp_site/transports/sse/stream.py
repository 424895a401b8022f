"""One server-sent event stream: the outlet of a follower, and the answer to the request that opened it."""

from erlmcp_site.transports.http.answers import LOCKED, NO_SNIFF, NO_STORE, Header
from erlmcp_site.transports.http.streamed import StreamedAnswer
from erlmcp_site.transports.sse.frames import bookmark_frame, drain_frame, events_frame, reset_frame, retry_frame
from resources_app.hub.followers import Form

RETRY_MS = 1000

EVENT_STREAM = b"text/event-stream; charset=utf-8"
STREAM_HEADERS: tuple[Header, ...] = (NO_STORE, (b"x-accel-buffering", b"no"))


class EventStream(StreamedAnswer):
    """The events of one follower."""

    transport = "sse"
    form: Form = staticmethod(events_frame)
    fixed_headers = ((b"content-type", EVENT_STREAM), NO_SNIFF, LOCKED, *STREAM_HEADERS)

    def __init__(self) -> None:
        super().__init__(retry_frame(RETRY_MS))

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

    def come_back(self, retry_ms: int) -> None:
        self.end(drain_frame(retry_ms))
