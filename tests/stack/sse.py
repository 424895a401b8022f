"""A client for server-sent events, read line by line as the standard says."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import httpx
import orjson

from tests.stack.rest import Rest, answer_of
from tests.stack.waiting import PATIENCE, Late


@dataclass(frozen=True, kw_only=True)
class Message:
    """One message of the stream: its name ("message" when it has none), its id, its data as JSON."""

    name: str
    id: str | None
    data: Any


@dataclass
class Stream:
    """A stream that is open. `messages` and `comments` grow while it is; `ended` is set once the server ends it.

    `retry_ms` is when the server said last that one should come back.
    """

    headers: Mapping[str, str]
    messages: list[Message] = field(default_factory=list)
    comments: list[str] = field(default_factory=list)
    retry_ms: int = 0
    ended: asyncio.Event = field(default_factory=asyncio.Event)
    _changed: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def events(self) -> list[Mapping[str, Any]]:
        return [message.data for message in self.messages if message.name not in {"bookmark", "reset"}]

    async def count(self, events: int, within: float = PATIENCE) -> None:
        """Wait until so many events have come."""
        await self._wait(lambda: len(self.events) >= events, within, f"{events} events, but {len(self.events)}")

    async def named(self, name: str, within: float = PATIENCE) -> Message:
        """Wait for the first message of that name."""
        await self._wait(lambda: any(message.name == name for message in self.messages), within, name)
        return next(message for message in self.messages if message.name == name)

    async def beyond(self, messages: int, comments: int, within: float) -> None:
        """Wait for more than so many messages or comments, or for the end."""

        def is_more() -> bool:
            return len(self.messages) > messages or len(self.comments) > comments or self.ended.is_set()

        await self._wait(is_more, within, "anything new")

    async def end(self, within: float = PATIENCE) -> None:
        """Wait until the server ends the stream."""
        await self._wait(self.ended.is_set, within, "the end of the stream")

    @asynccontextmanager
    async def reading(self, response: httpx.Response) -> AsyncIterator[None]:
        """Read an answer as it comes, as long as this lasts."""
        reading = asyncio.create_task(self.read(response))
        try:
            yield
        finally:
            reading.cancel()
            await asyncio.gather(reading, return_exceptions=True)

    async def read(self, response: httpx.Response) -> None:
        fields: dict[str, str] = {}
        try:
            async for line in response.aiter_lines():
                if line.startswith(":"):
                    self.comments.append(line[1:].strip())
                elif line:
                    name, _, value = line.partition(":")
                    value = value.removeprefix(" ")
                    if name == "retry":
                        self.retry_ms = int(value)
                    fields[name] = f"{fields[name]}\n{value}" if name == "data" and "data" in fields else value
                elif "data" in fields:
                    self.messages.append(
                        Message(
                            name=fields.get("event", "message"), id=fields.get("id"), data=orjson.loads(fields["data"])
                        )
                    )
                    fields = {}
                else:
                    fields = {}
                self._changed.set()
        except httpx.TransportError:
            pass
        finally:
            self.ended.set()
            self._changed.set()

    async def _wait(self, check: Any, within: float, what: str) -> None:
        try:
            async with asyncio.timeout(within):
                while not check():
                    self._changed.clear()
                    await self._changed.wait()
        except TimeoutError:
            raise Late(f"not within {within} s: {what}") from None


@asynccontextmanager
async def follow(rest: Rest, headers: Mapping[str, Any] | None = None, /, **params: Any) -> AsyncIterator[Stream]:
    """Open a stream. Raises Refused."""
    request = rest.http.build_request(
        "GET",
        "/api/v1/events/stream",
        params={name: str(value) for name, value in params.items()},
        headers={"Accept": "text/event-stream", **(headers or {})},
        timeout=httpx.Timeout(30, read=60),
    )
    response = await rest.http.send(request, stream=True)
    try:
        if response.status_code != 200:
            await response.aread()
            answer_of(response)
        assert response.headers["content-type"].split(";")[0] == "text/event-stream", response.headers
        stream = Stream(response.headers)
        async with stream.reading(response):
            yield stream
    finally:
        await response.aclose()
