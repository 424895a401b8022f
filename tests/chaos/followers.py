"""Followers of each transport that come back whenever they are cut, and go on from what they have."""

import asyncio
import random
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import Any

import httpx
from websockets.exceptions import InvalidHandshake

from tests.chaos.channels import ANSWER_SECONDS, AgentChannel, RestChannel, Unanswered, drain_ms, now
from tests.chaos.history import Followed, History, Seen
from tests.stack.answers import Refused
from tests.stack.checker import Checker, Event
from tests.stack.gateway import Gateway
from tests.stack.grpc_client import Unanswered as UnansweredRpc
from tests.stack.histories import Operation
from tests.stack.mcp_client import Mcp
from tests.stack.mcp_listening import Listening, NotListening, listen
from tests.stack.sockets import Closed
from tests.stack.sse import Message, Stream, follow
from tests.stack.waiting import Late

SILENT_SECONDS = 16.0
"""A stream says something every ten or fifteen seconds (contract §4); one that does not is taken for dead."""

POLL_MS = 2000
POLL_LIMIT = 500
PAUSE_LEAST, PAUSE_MOST = 0.05, 1.0


@dataclass(frozen=True, kw_only=True, slots=True)
class Absence:
    """How long a follower was not connected, from the loss to the answer of the server that took it back."""

    transport: str
    lost: float
    back: float


class Recorder(Checker):
    """Puts what a follower is handed on record; if there is a session, also as something that it was told."""

    def __init__(self, followed: Followed, history: History, session: str = "") -> None:
        super().__init__(offset=followed.start)
        self.heard = now()
        self._followed = followed
        self._history = history
        self._session = session

    def take(self, events: Sequence[Event], offset: int | None = None) -> None:
        self.heard = now()
        for event in events:
            self._see("event", event["offset"], event["subject"], event["version"])
            if self._session:
                self._tell(event)
        if offset is not None and offset != self.offset:
            self._see("bookmark", offset)

    def bookmark(self, offset: int) -> None:
        self.heard = now()
        self._see("bookmark", offset)

    def resumed_at(self, offset: int) -> None:
        self.heard = now()
        self._see("begun", offset)

    def told(self, offset: int, uri: str, version: int) -> None:
        """A client that reads for itself is told that something has changed."""
        self.heard = now()
        self._see("told", offset, uri, version)

    def read(self, offset: int, uri: str, version: int) -> None:
        """What such a client has read."""
        self.heard = now()
        self._see("read", offset, uri, version)

    def reset(self) -> None:
        """The server says that it cannot prove that nothing is missing."""
        self._see("reset", 0)

    def _see(self, kind: Any, offset: int, uri: str = "", version: int = 0) -> None:
        self._followed.seen.append(Seen(kind=kind, offset=offset, uri=uri, version=version))
        self.offset = max(self.offset, offset)

    def _tell(self, event: Event) -> None:
        self._history.operations.append(
            Operation(
                kind="pushed",
                session=self._session,
                node=0,
                uri=event["subject"],
                version=event["version"],
                began=self.heard,
                ended=self.heard,
            )
        )


class Follower(ABC):
    """Follows what `followed` says through the gateway, over any number of connections, until it is cancelled.

    `connect` follows over one connection until it ends, and returns when the server would have it back, in seconds.
    """

    def __init__(
        self, followed: Followed, recorder: Recorder, gateway: Gateway, token: str, dice: random.Random
    ) -> None:
        self.followed = followed
        self.recorder = recorder
        self.absences: list[Absence] = []
        self.connections = 0
        self.connected = asyncio.Event()
        self._gateway = gateway
        self._token = token
        self._dice = dice
        self._lost = now()
        self._leave = asyncio.Event()

    @property
    def wish(self) -> Mapping[str, str]:
        return {"uri": self.followed.uri or f"{self.followed.prefix}*"}

    def leave(self) -> None:
        """Break the connection without a word, and come back."""
        self._leave.set()

    async def run(self) -> None:
        """For ever: follow, and come back when the connection is gone."""
        pause = PAUSE_LEAST
        while True:
            before = self.connections
            self._leave.clear()
            try:
                asked = await self.connect()
            except Refused as refused:
                if refused.code == "reset":
                    self.recorder.reset()
                    return
                assert refused.data["category"] == "retryable", f"{self.followed.client} was refused: {refused}"
                asked = float(refused.data.get("retry_after", 0))
            except Unanswered as lost:
                asked = lost.retry_seconds
            except (Late, Closed, UnansweredRpc, InvalidHandshake, OSError, EOFError):
                asked = 0.0
            if self.connected.is_set():
                self.connected.clear()
                self._lost = now()
            pause = PAUSE_LEAST if self.connections > before else min(PAUSE_MOST, pause * 2)
            await asyncio.sleep(max(asked, pause * (0.5 + self._dice.random())))

    @abstractmethod
    async def connect(self) -> float:
        """Follow over one connection until it ends; returns when the server would have it back, in seconds."""

    def _is_back(self) -> None:
        """The server has taken the follower back."""
        self.connected.set()
        if self.connections:
            self.absences.append(Absence(transport=self.followed.transport, lost=self._lost, back=now()))
        self.connections += 1

    async def _until(self, ended: asyncio.Event) -> None:
        """Wait for the end of a connection. Raises Late when nothing has come for too long, or it is to be left."""
        while not ended.is_set():
            waiting = [asyncio.create_task(event.wait()) for event in (ended, self._leave)]
            try:
                await asyncio.wait(waiting, timeout=1, return_when=asyncio.FIRST_COMPLETED)
            finally:
                for task in waiting:
                    task.cancel()
            if self._leave.is_set() or now() - self.recorder.heard > SILENT_SECONDS:
                raise Late(f"{self.followed.client} leaves")


class SocketFollower(Follower):
    """Over a WebSocket."""

    async def connect(self) -> float:
        async with asyncio.timeout(ANSWER_SECONDS):
            socket = await self._gateway.socket(self._token)
        try:
            async with asyncio.timeout(ANSWER_SECONDS):
                await socket.subscribe(self.wish["uri"], checker=self.recorder, start=self.recorder.offset)
            self._is_back()
            await self._until(socket.closed)
            return drain_ms(socket) / 1000
        finally:
            socket.abort()
            await socket.close()


class StreamFollower(Follower):
    """Over server-sent events."""

    async def connect(self) -> float:
        after = self.recorder.offset
        async with AsyncExitStack() as opened:
            async with asyncio.timeout(ANSWER_SECONDS):
                rest = await opened.enter_async_context(self._gateway.rest(self._token))
                following = follow(rest, {"Last-Event-ID": str(after)}, **self.wish)
                stream = await opened.enter_async_context(following)
            self.recorder.resumed_at(after)
            self._is_back()
            reading = asyncio.create_task(self._read(stream))
            try:
                await self._until(stream.ended)
            finally:
                reading.cancel()
                await asyncio.gather(reading, return_exceptions=True)
                self._take(stream.messages)
            return stream.retry_ms / 1000

    async def _read(self, stream: Stream) -> None:
        comments = 0
        while not stream.ended.is_set():
            await stream.beyond(0, comments, within=SILENT_SECONDS)
            self.recorder.heard = now()
            comments = len(stream.comments)
            self._take(stream.messages)

    def _take(self, messages: list[Message]) -> None:
        while messages:
            message = messages.pop(0)
            if message.name == "bookmark":
                self.recorder.bookmark(message.data["offset"])
            elif message.name == "reset":
                self.recorder.reset()
            elif message.name != "drain":
                self.recorder.take([message.data])


class GrpcFollower(Follower):
    """Over the stream of `Subscriptions/Follow`."""

    async def connect(self) -> float:
        async with self._gateway.grpc(self._token) as grpc:
            stream = grpc.follow(self.recorder, start=self.recorder.offset, **self.wish)
            try:
                async with asyncio.timeout(ANSWER_SECONDS):
                    await stream.__aenter__()
                self._is_back()
                await self._until(stream.ended)
            finally:
                await stream.__aexit__(None, None, None)
            drains = [message.drain.retry_ms for message in stream.messages if message.WhichOneof("message") == "drain"]
            return drains[0] / 1000 if drains else 0.0


class PollFollower(Follower):
    """Over long polls of a durable subscription, one after the other; `channel` makes the subscription."""

    _subscription = ""

    async def connect(self) -> float:
        channel = RestChannel(self._gateway, self._token)
        try:
            if not self._subscription:
                self._subscription = (await channel.call("subscriptions/create", **self.wish))["id"]
            is_first = True
            while not self._leave.is_set():
                after = self.recorder.offset
                answer = await channel.call(
                    "events/poll",
                    subscription=self._subscription,
                    after=after,
                    timeout_ms=POLL_MS,
                    limit=POLL_LIMIT,
                )
                if is_first:
                    self._is_back()
                    is_first = False
                self.recorder.resumed_at(after)
                self.recorder.take(answer["events"], answer["offset"])
            return 0.0
        finally:
            await channel.close()


class AgentFollower(Follower):
    """Over `subscriptions/listen` of MCP, which tells what to read again, and has no memory: who is back reads."""

    async def connect(self) -> float:
        uri = self.followed.uri
        channel = AgentChannel(self._gateway, self._token)
        try:
            async with AsyncExitStack() as opened:
                async with asyncio.timeout(ANSWER_SECONDS):
                    stream = await opened.enter_async_context(_listening(channel.agent.mcp, uri))
                    honoured = await stream.acknowledged()
                if uri not in honoured["resourceSubscriptions"]:
                    raise Unanswered(f"{uri} is not listened to")
                self.recorder.resumed_at(self.recorder.offset)
                found = await channel.call("resources/read", uri=uri)
                self.recorder.read(found["offset"], uri, found["version"])
                self._is_back()
                reading = asyncio.create_task(self._read(stream))
                try:
                    await self._until(stream.ended)
                finally:
                    reading.cancel()
                    await asyncio.gather(reading, return_exceptions=True)
                return 0.0
        finally:
            await channel.close()

    async def _read(self, stream: Listening) -> None:
        messages = comments = taken = 0
        while not stream.ended.is_set():
            await stream.beyond(messages, comments, within=SILENT_SECONDS)
            self.recorder.heard = now()
            messages, comments = len(stream.messages), len(stream.comments)
            for notice in stream.notifications[taken:]:
                taken += 1
                params = notice["params"]
                told = params["_meta"]
                self.recorder.told(told["io.erlmcp/offset"], params["uri"], told["io.erlmcp/version"])


@asynccontextmanager
async def _listening(client: Mcp, uri: str) -> AsyncIterator[Listening]:
    """Listen. Raises Refused, and Unanswered for what is no stream."""
    try:
        async with listen(client, [uri]) as stream:
            yield stream
    except NotListening as answer:
        said = answer.response.json()
        problem = said if "code" in said else said["error"]["data"]
        raise Refused(problem["code"], answer.response.status_code, problem) from None
    except httpx.TransportError as lost:
        raise Unanswered(lost) from lost


KINDS: Mapping[str, Callable[..., Follower]] = {
    "websocket": SocketFollower,
    "sse": StreamFollower,
    "grpc": GrpcFollower,
    "poll": PollFollower,
    "mcp": AgentFollower,
}
"""A kind of follower for each transport that can follow."""
