"""How far each session has got in the log, known to every node (contract §3, seed §10.1).

A causal read on one node has to reflect what the same session wrote, or was shown, on another. With a Redis the nodes
share positions in one sorted set; without, there is only one process, and its own memory is all there is to know.
While one exchange with Redis is under way, the next gathers.
"""

import asyncio
import logging

from django.conf import settings
from redis.asyncio import Redis
from redis.exceptions import RedisError

log = logging.getLogger(__name__)

KEY = "erlmcp:positions"
KEPT_SECONDS = 60.0


class PositionUnknown(Exception):
    """Redis did not say how far a session has got; whoever has to know reads the database instead."""


class SharedPositions:
    """The positions of all nodes' sessions, for one process and one event loop."""

    def __init__(self, url: str) -> None:
        self._redis: Redis = Redis.from_url(url, socket_timeout=2, socket_connect_timeout=2)
        self._loop = asyncio.get_running_loop()
        self._told: dict[str, int] = {}
        self._asked: dict[str, asyncio.Future[int]] = {}
        self._done: asyncio.Future[None] = self._loop.create_future()
        self._exchanging: asyncio.Task[None] | None = None
        self._horizon = (self._loop.time(), 0)
        self.is_up = True

    async def tell(self, session_id: str, position: int) -> None:
        """Let every node know; returns when they can. While Redis is away it returns at once and tells later."""
        self._told[session_id] = max(position, self._told.get(session_id, 0))
        done = self._done
        self._begin()
        await asyncio.shield(done)

    async def of(self, session_id: str) -> int:
        """The furthest position that any node has told of a session; 0 when none has lately.

        Raises PositionUnknown.
        """
        future = self._asked.get(session_id)
        if future is None:
            future = self._asked[session_id] = self._loop.create_future()
            self._begin()
        return await asyncio.shield(future)

    async def close(self) -> None:
        """Let the last exchange end, then the connection."""
        if self._exchanging is not None:
            await asyncio.wait([self._exchanging])
        await self._redis.aclose()

    def _begin(self) -> None:
        if self._exchanging is None:
            self._exchanging = self._loop.create_task(self._exchange())

    async def _exchange(self) -> None:
        try:
            while self._asked or self._told:
                told, self._told = self._told, {}
                asked, self._asked = self._asked, {}
                done, self._done = self._done, self._loop.create_future()
                try:
                    found = await self._round_trip(told, list(asked))
                except (RedisError, OSError) as error:
                    self._failed(error, asked)
                    self._told = {id: max(told.get(id, 0), self._told.get(id, 0)) for id in told | self._told}
                    done.set_result(None)
                    return
                self._is_up_again()
                for future, score in zip(asked.values(), found, strict=True):
                    future.set_result(int(score or 0))
                done.set_result(None)
        finally:
            self._exchanging = None

    async def _round_trip(self, told: dict[str, int], asked: list[str]) -> list[float | None]:
        pipe = self._redis.pipeline(transaction=False)
        if told:
            pipe.zadd(KEY, told, gt=True)
            self._forget_old(pipe, max(told.values()))
        if asked:
            pipe.zmscore(KEY, asked)
        results = await pipe.execute()
        return results[-1] if asked else []

    def _forget_old(self, pipe: "Redis", position: int) -> None:
        """Positions that every node has passed long ago tell nothing."""
        since, horizon = self._horizon
        if self._loop.time() - since > KEPT_SECONDS:
            pipe.zremrangebyscore(KEY, "-inf", horizon)
            self._horizon = (self._loop.time(), position)

    def _failed(self, error: Exception, asked: dict[str, asyncio.Future[int]]) -> None:
        if self.is_up:
            log.warning("Redis does not tell positions, causal reads go to the database meanwhile: %s", error)
        self.is_up = False
        for future in asked.values():
            future.set_exception(PositionUnknown())
            future.exception()

    def _is_up_again(self) -> None:
        if not self.is_up:
            log.info("Redis tells positions again")
        self.is_up = True


class Positions:
    """Positions as the rest of the process sees them, shared or not."""

    def __init__(self) -> None:
        self._shared: SharedPositions | None = None

    def start(self) -> None:
        """Share positions if there is a Redis. To be called in the event loop that serves."""
        if settings.REDIS_URL:
            self._shared = SharedPositions(settings.REDIS_URL)

    async def stop(self) -> None:
        """Share no more."""
        shared, self._shared = self._shared, None
        if shared is not None:
            await shared.close()

    async def tell(self, session_id: str, position: int) -> None:
        """A session has got to a position here; returns when the other nodes can know."""
        if self._shared is not None and session_id:
            await self._shared.tell(session_id, position)

    async def of(self, session_id: str) -> int:
        """How far a session has got on other nodes. Raises PositionUnknown."""
        return await self._shared.of(session_id) if self._shared is not None and session_id else 0


positions = Positions()
