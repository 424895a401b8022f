"""One follower of each transport, side by side."""

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Protocol

from tests.stack import sse
from tests.stack.checker import Event
from tests.stack.door import Door
from tests.stack.rest import Rest
from tests.stack.waiting import PATIENCE, eventually

POLL_MS = 2000


class Watch(Protocol):
    """What one follower was handed."""

    @property
    def events(self) -> Sequence[Event]: ...

    async def count(self, events: int, within: float = PATIENCE) -> None: ...


class Polls:
    """Long polls, one after the other, behind an offset."""

    def __init__(self, rest: Rest, subscription: str, after: int) -> None:
        self.events: list[Event] = []
        self._rest = rest
        self._subscription = subscription
        self._after = after

    async def run(self) -> None:
        """For ever."""
        while True:
            answer = await self._rest.call(
                "events/poll", subscription=self._subscription, after=self._after, timeout_ms=POLL_MS
            )
            self.events += answer["events"]
            self._after = answer["offset"]

    async def count(self, events: int, within: float = PATIENCE) -> None:
        await eventually(lambda: len(self.events) >= events, within, f"{events} events")


@asynccontextmanager
async def watching(door: Door, token: str, uri: str, start: int) -> AsyncIterator[Mapping[str, Watch]]:
    """Followers of a URI or pattern, behind an offset, by their transports."""
    async with AsyncExitStack() as opened:
        enter = opened.enter_async_context
        socket, rest, grpc = await enter(await door.socket(token)), await enter(door.rest(token)), door.grpc(token)
        await enter(grpc)
        subscription = await rest.call("subscriptions/create", uri=uri)
        polls = Polls(rest, subscription["id"], start)
        polling = asyncio.create_task(polls.run())
        try:
            yield {
                "websocket": await socket.subscribe(uri, start=start),
                "sse": await enter(sse.follow(rest, {"Last-Event-ID": str(start)}, uri=uri)),
                "grpc": (await enter(grpc.follow(uri=uri, start=start))).followed,
                "poll": polls,
            }
        finally:
            polling.cancel()
            await asyncio.gather(polling, return_exceptions=True)
