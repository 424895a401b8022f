"""Reading one socket: texts to calls, calls through the pipeline, answers back."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from django.conf import settings

from audit_app.errors import InvalidParams, Refusal, TooLarge
from erlmcp_site.methods.catalogue import pipeline
from erlmcp_site.pipeline.errors import InvalidRequest
from erlmcp_site.pipeline.messages import UNKNOWN, Unread
from erlmcp_site.transports import jsonrpc
from erlmcp_site.transports.jsonrpc import BadCall, Call
from erlmcp_site.transports.pacing import Pace
from erlmcp_site.transports.websocket.codes import CloseCode
from erlmcp_site.transports.websocket.connection import AUTHENTICATE, Connection, code_of
from sessions_app.errors import RateLimited

MAX_IN_FLIGHT = 128
MESSAGES_A_TURN = 64
COLD_SECONDS = 1.0
SLOW_SECONDS = 10.0
TOO_LARGE_FOR_SERVER = 1009
BAD_MESSAGES_PER_SECOND, BAD_MESSAGES_AT_ONCE = 10, 100
LIMITED_CALLS_PER_SECOND, LIMITED_CALLS_AT_ONCE = 100, 1000
"""How many calls that the caller's limits refuse a socket may send before it is closed."""

Receive = Callable[[], Awaitable[Mapping[str, Any]]]
Then = Callable[[], None]


class Calls:
    """Runs what comes in on a socket, until it closes.

    Calls are started in the order in which they came and run side by side, so that writes apply in the order sent
    while answers come as they are ready. At most MAX_IN_FLIGHT run at a time; the socket is not read meanwhile.
    """

    def __init__(self, connection: Connection, receive: Receive) -> None:
        self._connection = connection
        self._receive = receive
        self._loop = asyncio.get_running_loop()
        self._running = connection.running
        self._room: asyncio.Future[None] | None = None
        self._finishing: asyncio.Task[None] | None = None
        self._pace = Pace(settings.WS_MESSAGES_PER_SECOND, settings.WS_MESSAGES_PER_SECOND)
        self._bad = Pace(BAD_MESSAGES_PER_SECOND, BAD_MESSAGES_AT_ONCE)
        self._limited = Pace(LIMITED_CALLS_PER_SECOND, LIMITED_CALLS_AT_ONCE)

    async def run(self) -> None:
        """Read until the socket is closed; calls that run then are abandoned: their answers have nowhere to go."""
        try:
            await self._read()
        finally:
            running = list(self._running)
            for task in running:
                task.cancel()
            await asyncio.gather(*running, return_exceptions=True)

    async def _read(self) -> None:
        connection = self._connection
        since_pause = 0
        while True:
            message = await self._receive()
            if message["type"] == "websocket.disconnect":
                if message.get("code") == TOO_LARGE_FOR_SERVER:
                    await self._too_large()
                return
            if connection.is_closing or connection.is_finishing:
                continue
            text = message.get("text")
            data: bytes = message["bytes"] if text is None else text.encode()
            if len(data) > settings.WS_MAX_MESSAGE:
                await self._too_large()
                continue
            early = self._pace.take(self._loop.time())
            since_pause += 1
            if early > 0 or since_pause == MESSAGES_A_TURN:
                since_pause = 0
                await asyncio.sleep(early)
            try:
                await self._take(data)
            except ConnectionError:
                continue

    async def _too_large(self) -> None:
        """End a socket with a message that nobody reads; a server that has seen it before us has ended it already."""
        connection = self._connection
        if not connection.is_closing:
            await connection.refuse(Unread(refusal=TooLarge(limit=settings.WS_MAX_MESSAGE)))
            connection.close(CloseCode.TOO_LARGE, f"a message has at most {settings.WS_MAX_MESSAGE} bytes")

    async def _take(self, data: bytes) -> None:
        try:
            message = jsonrpc.decode(data)
        except Refusal as refusal:
            await self._reject(None, refusal, self._send_one)
            return
        answer = Answers(len(message.calls), self._send).add if message.is_batch else self._send_one
        if len(message.calls) > 1:
            self._pace.take(self._loop.time(), len(message.calls) - 1)
        for call in message.calls:
            if isinstance(call, BadCall):
                await self._reject(call.id, call.refusal, answer)
            elif call.method == "ping":
                await answer(None if call.is_notification else jsonrpc.encode_result(call.id, {}), None)
            elif call.method == AUTHENTICATE:
                await self._authenticate(call, message.is_batch, answer)
            else:
                await self._start(call, answer)

    async def _start(self, call: Call, answer: "Answer") -> None:
        """Start a call, as soon as there is room; wait for it as long as others could overtake it."""
        connection = self._connection
        if len(self._running) >= MAX_IN_FLIGHT:
            self._room = self._loop.create_future()
            await self._room
        is_alone = connection.is_cold or connection.caller is None
        connection.is_cold = False
        task = self._loop.create_task(self._run(call, answer))
        self._running.add(task)
        task.add_done_callback(self._ran)
        if is_alone:
            await asyncio.wait({task}, timeout=COLD_SECONDS)

    async def _run(self, call: Call, answer: "Answer") -> None:
        reply = await pipeline.run(self._connection.request(call.method, call.params, call.metadata))
        with contextlib.suppress(ConnectionError):
            await answer(None if call.is_notification else jsonrpc.encode(call.id, reply), reply.then)
        # not by how much there may be at once: that is refused one by one, and each try costs the caller a token
        is_limited = isinstance(reply.refusal, RateLimited) and bool(reply.refusal.quotas)
        if is_limited and self._limited.take(self._loop.time()) > 0:
            self._finish(CloseCode.RATE, "too many calls beyond the rate limit")

    def _ran(self, task: asyncio.Task[None]) -> None:
        self._running.discard(task)
        if self._room is not None and not self._room.done():
            self._room.set_result(None)

    async def _authenticate(self, call: Call, is_batch: bool, answer: "Answer") -> None:
        connection, params = self._connection, call.params
        token, session_id = params.get("token"), params.get("session")
        if is_batch:
            await self._reject(call.id, InvalidRequest(f"{AUTHENTICATE} comes alone."), answer, AUTHENTICATE)
            return
        if not isinstance(token, str) or not isinstance(session_id, str | None):
            refusal = InvalidParams("The token is a string, the session too if there is one.")
            await self._reject(call.id, refusal, answer, AUTHENTICATE)
            return
        reply = await connection.authenticate(token, session_id)
        await answer(None if call.is_notification else jsonrpc.encode(call.id, reply), reply.then)
        if reply.refusal is not None:
            connection.close(code_of(reply.refusal), reply.refusal.message)

    async def _reject(self, call_id: jsonrpc.Id, refusal: Refusal, answer: "Answer", method: str = UNKNOWN) -> None:
        """Answer what is no call. A socket that belongs to nobody yet, or sends many of these, is closed."""
        connection = self._connection
        reply = await connection.refuse(Unread(refusal=refusal), method)
        await answer(jsonrpc.encode_refusal(call_id, reply.refusal or refusal, reply.request_id), None)
        if connection.caller is None:
            connection.close(CloseCode.BAD_MESSAGE, refusal.message)
        elif self._bad.take(self._loop.time()) > 0:
            self._finish(CloseCode.RATE, "too many bad messages")

    def _finish(self, code: CloseCode, reason: str) -> None:
        """Close the socket, as soon as the calls that it was allowed have been answered."""
        if self._finishing is None:
            self._finishing = self._loop.create_task(self._connection.finish(SLOW_SECONDS, code, reason))

    async def _send_one(self, text: bytes | None, then: Then | None) -> None:
        if text is not None:
            await self._send(text)
        if then is not None:
            then()

    async def _send(self, text: bytes) -> None:
        try:
            async with asyncio.timeout(SLOW_SECONDS):
                await self._connection.wire.send(text)
        except TimeoutError:
            self._connection.slow()


Answer = Callable[[bytes | None, Then | None], Awaitable[None]]


class Answers:
    """The answers to a batch: sent as one array when all are there, without those that nobody wants."""

    __slots__ = ("_missing", "_send", "_texts", "_thens")

    def __init__(self, count: int, send: Callable[[bytes], Awaitable[None]]) -> None:
        self._missing = count
        self._send = send
        self._texts: list[bytes] = []
        self._thens: list[Then] = []

    async def add(self, text: bytes | None, then: Then | None) -> None:
        if text is not None:
            self._texts.append(text)
        if then is not None:
            self._thens.append(then)
        self._missing -= 1
        if self._missing:
            return
        if self._texts:
            await self._send(b"[" + b",".join(self._texts) + b"]")
        for begin in self._thens:
            begin()
