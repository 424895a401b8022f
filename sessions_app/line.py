"""One connection to Redis for what many requests ask in passing: positions and limits (docs/architecture.md §5, §6).

What is asked for in one turn of the event loop goes out together, and while that is under way the next gathers, so that
a request that needs both pays for one round trip. The commands go over one connection of redis-py's, written and read
directly: `Redis.pipeline()` costs twice the CPU (93 and 42 µs an exchange), and every causal read would pay for it.
"""

import asyncio
from collections.abc import Callable, Sequence
from itertools import chain
from types import TracebackType
from typing import Any

from redis.asyncio import ConnectionPool
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import ResponseError

from audit_app.deadlines import without_deadline

EXCHANGE_SECONDS = 1.5
"""How long a Redis that hangs may hold those who have asked."""

LOOKS = 5
"""Into so many parts that time is cut. However long this process stands still in one of them, only that one is over."""

Command = tuple[Any, ...]


class Patience:
    """Like asyncio.timeout, but for an event loop that may stand still: what came meanwhile is looked at first.

    Raises TimeoutError.
    """

    __slots__ = ("_left", "_limit", "_loop", "_seconds", "_timer")

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds / LOOKS
        self._left = LOOKS
        self._limit = asyncio.timeout(None)

    async def __aenter__(self) -> None:
        self._loop = asyncio.get_running_loop()
        await self._limit.__aenter__()
        self._timer = self._loop.call_later(self._seconds, self._look)

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._timer.cancel()
        await self._limit.__aexit__(kind, error, trace)

    def _look(self) -> None:
        self._left -= 1
        if self._left:
            self._timer = self._loop.call_later(self._seconds, self._look)
        else:
            self._limit.reschedule(self._loop.time())


class Line:
    """The connection, for one event loop. `on_connect` is called for each new one, before anything is sent over it."""

    def __init__(self, url: str) -> None:
        self._connection = ConnectionPool.from_url(
            url,
            socket_connect_timeout=EXCHANGE_SECONDS,
            retry=Retry(NoBackoff(), 0),
            redis_connect_func=self._connected,
        ).make_connection()
        self._loop = asyncio.get_running_loop()
        self._asked: list[tuple[Sequence[Command], asyncio.Future[list[Any]]]] = []
        self._exchanging: asyncio.Task[None] | None = None
        self.on_connect: Callable[[], None] | None = None

    @property
    def is_connected(self) -> bool:
        return bool(self._connection.is_connected)

    async def ask(self, *commands: Command) -> list[Any]:
        """What Redis answers to each command; an error that it answers is an answer, and raised by nobody.

        Raises RedisError or OSError when it does not answer; so does everything that was asked meanwhile.
        """
        future: asyncio.Future[list[Any]] = self._loop.create_future()
        self._asked.append((commands, future))
        if self._exchanging is None:
            self._exchanging = self._loop.create_task(self._exchange(), context=without_deadline())
        return await future

    async def close(self) -> None:
        """Let the last exchange end, then the connection."""
        if self._exchanging is not None:
            await asyncio.wait([self._exchanging])
        await self._connection.disconnect()

    async def _exchange(self) -> None:
        try:
            while self._asked:
                asked, self._asked = self._asked, []
                try:
                    answers = iter(await self._round_trip(list(chain.from_iterable(commands for commands, _ in asked))))
                except Exception as error:
                    self._fail(asked, error)
                    return
                for commands, future in asked:
                    own = [next(answers) for _ in commands]
                    # whoever asked may have gone away
                    if not future.done():
                        future.set_result(own)
        finally:
            self._exchanging = None

    async def _round_trip(self, commands: Sequence[Command]) -> list[Any]:
        connection, answers = self._connection, []
        try:
            async with Patience(EXCHANGE_SECONDS):
                await connection.send_packed_command(connection.pack_commands(commands))
                for _ in commands:
                    try:
                        answers.append(await connection.read_response())
                    except ResponseError as error:
                        answers.append(error)
        except BaseException:
            # the rest of the answers may still come, and would be taken for those of the next exchange
            await connection.disconnect(nowait=True)
            raise
        return answers

    def _fail(self, asked: Sequence[tuple[Sequence[Command], asyncio.Future[list[Any]]]], error: Exception) -> None:
        """Let everybody go who waits: nobody is to wait twice for a Redis that hangs."""
        waiting, self._asked = [*asked, *self._asked], []
        for _, future in waiting:
            if not future.done():
                future.set_exception(error)

    async def _connected(self, connection: Any) -> None:
        """Called by redis-py for every connection that it makes."""
        await connection.on_connect()
        if self.on_connect is not None:
            self.on_connect()
