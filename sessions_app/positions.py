"""How far each session has got in the log, known to every node (contract §3, seed §10.1).

A causal read on one node has to reflect what the same session wrote, or was shown, on another. With a Redis the nodes
share positions in one sorted set; without, there is only one process, and its own memory is all there is to know.
What a session is pushed on another node is not told but marked (`marks.py`). While one exchange with Redis is under
way, the next gathers; it goes over the line that limits use, too (`line.py`).

Redis may lose everything at any moment, and nobody tells: a connection that broke is replaced silently, and the new one
may lead to an empty server. So after every new connection, after every failure, and whenever the sorted set is not the
one of before, positions count as unknown until no answer can be under way any more whose position was lost; from then
on the head of the log, as it was then, stands in for all of them.
"""

import asyncio
import random
import secrets
from collections.abc import Iterator, Sequence
from itertools import chain
from typing import Any, NamedTuple

from django.db import DatabaseError, InterfaceError
from redis.exceptions import RedisError

from audit_app.breaker import Breaker, PartAway
from audit_app.database import in_database
from audit_app.deadlines import without_deadline
from audit_app.recovery import POSITIONS
from resources_app.hub.followers import Follower
from resources_app.hub.hub import hub
from resources_app.log.head import CHANGES, bounds
from sessions_app import marks
from sessions_app.line import EXCHANGE_SECONDS, Command, Line
from sessions_app.marks import FollowedSessions
from telemetry_app.metrics import CACHE_REQUESTS

KEY = "erlmcp:positions"
LIFE = "life"
"""The member of the sorted set whose score, above every offset, says whether this is still the same set."""

LIFE_LEAST, LIFE_BITS = 2**52, 51

REST_SECONDS = 0.001
"""From one exchange to the next, so that under load many share one. Whoever comes later does not wait for it."""

BEAT_SECONDS = 0.5
SETTLE_SECONDS = 2 * EXCHANGE_SECONDS + BEAT_SECONDS + EXCHANGE_SECONDS + 0.5
"""The last exchange with the old server, behind one of others, fails; a beat; the first one with the new: by then every
node has met it."""

MARKS_AT_ONCE = 500

HITS, MISSES, STALES, ERRORS = (
    CACHE_REQUESTS.labels("positions", result) for result in ("hit", "miss", "stale", "error")
)


class PositionUnknown(Exception):
    """Nobody can say how far a session has got; whoever has to know reads the database instead."""


class SharedPositions:
    """The positions of all nodes' sessions, for one process and one event loop.

    `followed` are the sessions that follow on this node.
    """

    def __init__(self, line: Line, followed: FollowedSessions, settle_seconds: float = SETTLE_SECONDS) -> None:
        self._line = line
        line.on_connect = self._lost
        self._loop = asyncio.get_running_loop()
        self._node = secrets.token_hex(6)
        self._followed = followed
        self._settle_seconds = settle_seconds
        self._told: dict[str, int] = {}
        self._asked: dict[str, list[asyncio.Future[int]]] = {}
        self._following: set[str] = set()
        self._due: set[str] = set()
        self._done: asyncio.Future[None] = self._loop.create_future()
        self._exchanging: asyncio.Task[None] | None = None
        self._horizon = (self._loop.time(), 0)
        self._life: bytes | None = None
        self._rests_until = 0.0
        self._floor: int | None = None
        self._settling = self._loop.create_task(self._settle())
        self._beating = self._loop.create_task(self._beat())
        self._breaker = Breaker(POSITIONS, counts=lambda error: isinstance(error, RedisError | OSError))

    @property
    def is_up(self) -> bool:
        """Whether Redis answered the last exchange."""
        return not self._breaker.is_open

    async def tell(self, session_id: str, position: int) -> None:
        """Let every node know; returns when they can. While Redis is away it returns at once and tells later."""
        self.note(session_id, position)
        await self._exchanged()

    def note(self, session_id: str, position: int) -> None:
        """The same for those who cannot wait: tell with the next exchange, within a second."""
        self._told[session_id] = max(position, self._told.get(session_id, 0))

    async def mark(self, session_id: str) -> None:
        """Let every node know that a session follows here; returns when they can, or at once while Redis is away."""
        self._following.add(session_id)
        await self._exchanged()

    async def of(self, session_id: str, seen: int) -> int:
        """The furthest position that any node has told of a session, and tell that it has got to `seen` here.

        Raises PositionUnknown, also for a session that follows on another node.
        """
        if not self.is_up:
            ERRORS.inc()
            raise PositionUnknown
        return await self.ask(session_id, seen)

    def ask(self, session_id: str, seen: int) -> asyncio.Future[int]:
        """The same without waiting, while Redis is up; the future has what `of` answers."""
        self.note(session_id, seen)
        future: asyncio.Future[int] = self._loop.create_future()
        self._asked.setdefault(session_id, []).append(future)
        self._begin()
        return future

    async def close(self) -> None:
        """Let the last exchange end."""
        self._beating.cancel()
        if self.is_up:
            self._begin()
        if self._exchanging is not None:
            await asyncio.wait([self._exchanging])
        self._settling.cancel()
        await asyncio.gather(self._beating, self._settling, return_exceptions=True)

    # -- exchanges

    async def _exchanged(self) -> None:
        """Wait for the exchange that takes what has been gathered; not at all while Redis is away."""
        if self.is_up:
            done = self._done
            self._begin()
            await asyncio.shield(done)

    def _begin(self) -> None:
        if self._exchanging is None:
            self._exchanging = self._loop.create_task(self._exchange())

    async def _beat(self) -> None:
        """For ever: notice a server that is new or back, also while nobody asks, and keep marks from running out."""
        refreshed = self._loop.time()
        while True:
            self._begin()
            await asyncio.sleep(BEAT_SECONDS)
            if self._loop.time() - refreshed > marks.REFRESH_SECONDS:
                refreshed = self._loop.time()
                self._due.update(self._followed)

    async def _exchange(self) -> None:
        try:
            while True:
                if (rest := self._rests_until - self._loop.time()) > 0:
                    await asyncio.sleep(rest)
                told, self._told = self._told, {}
                asked, self._asked = self._asked, {}
                marked, self._following = list(self._following), set()
                marked += [self._due.pop() for _ in range(min(len(self._due), MARKS_AT_ONCE))]
                done, self._done = self._done, self._loop.create_future()
                try:
                    with self._breaker.guard():
                        scores, found = await self._round_trip(told, list(asked), marked)
                except PartAway:
                    self._failed(told, asked, done)
                    return
                self._succeeded(scores[0])
                for futures, score, mark in zip(asked.values(), scores[1:], found, strict=True):
                    self._answer(futures, score, mark)
                done.set_result(None)
                self._rests_until = self._loop.time() + REST_SECONDS
                if not (self._told or self._asked or self._following or self._due):
                    return
        finally:
            self._exchanging = None

    async def _round_trip(
        self, told: dict[str, int], asked: Sequence[str], marked: Sequence[str]
    ) -> tuple[Sequence[bytes | None], Sequence[bytes | None]]:
        """The scores of the set's life and of the sessions asked for, and the marks of these."""
        commands: list[Command] = []
        if told:
            commands.append(("ZADD", KEY, "GT", *chain.from_iterable((told[id], id) for id in told)))
            commands += self._forget_old(max(told.values()))
        if marked:
            commands.append(
                ("EVAL", marks.ADD, len(marked), *map(marks.key_of, marked), self._node, marks.KEPT_SECONDS)
            )
        if self._life is None:
            commands.append(("ZADD", KEY, "NX", LIFE_LEAST + random.getrandbits(LIFE_BITS), LIFE))
        if asked:
            commands.append(("MGET", *map(marks.key_of, asked)))
        commands.append(("ZMSCORE", KEY, LIFE, *asked))
        answers = await self._line.ask(*commands)
        for answer in answers:
            if isinstance(answer, Exception):
                raise answer
        return answers[-1], answers[-2] if asked else []

    def _forget_old(self, position: int) -> Iterator[tuple[Any, ...]]:
        """Positions that every node has passed long ago tell nothing."""
        since, horizon = self._horizon
        if self._loop.time() - since > marks.KEPT_SECONDS:
            yield "ZREMRANGEBYSCORE", KEY, "-inf", horizon
            self._horizon = (self._loop.time(), position)

    def _answer(self, futures: Sequence[asyncio.Future[int]], score: bytes | None, mark: bytes | None) -> None:
        floor = self._floor
        for future in futures:
            if floor is None or marks.is_elsewhere(mark, self._node):
                (ERRORS if floor is None else STALES).inc()
                _refuse(future)
            else:
                (MISSES if score is None else HITS).inc()
                # whoever asked may have gone away
                if not future.done():
                    future.set_result(max(int(float(score or 0)), floor))

    def _succeeded(self, life: bytes | None) -> None:
        if life != self._life:
            self._life = life
            self._lost()

    def _failed(
        self, told: dict[str, int], asked: dict[str, list[asyncio.Future[int]]], done: asyncio.Future[None]
    ) -> None:
        """Let everybody go who waits, also for the next exchange: there is none until Redis is back."""
        self._lost()
        self._told = {id: max(told.get(id, 0), self._told.get(id, 0)) for id in told | self._told}
        waiting, self._asked = [*asked.values(), *self._asked.values()], {}
        for future in chain.from_iterable(waiting):
            ERRORS.inc()
            _refuse(future)
        done.set_result(None)
        self._done.set_result(None)
        self._done = self._loop.create_future()

    # -- what may have been lost

    def _lost(self) -> None:
        """Redis may have lost what it was told, or this node may have failed to tell: nothing that it says counts."""
        self._floor = None
        self._due.update(self._followed)
        self._settling.cancel()
        self._settling = self._loop.create_task(self._settle(), context=without_deadline())

    async def _settle(self) -> None:
        """Trust positions again, once those that were lost are certain to be at or below the head of the log."""
        await asyncio.sleep(self._settle_seconds)
        while True:
            try:
                self._floor = (await in_database(bounds))[CHANGES].head
                return
            except (DatabaseError, InterfaceError, PartAway):
                await asyncio.sleep(BEAT_SECONDS)


def _heard(position: asyncio.Future[int]) -> None:
    """Take note of an answer that nobody may need."""
    if not position.cancelled():
        position.exception()


def _refuse(future: asyncio.Future[int]) -> None:
    if not future.done():
        future.set_exception(PositionUnknown())


class Ahead(NamedTuple):
    """The position of a session that was asked for ahead of knowing that it is needed."""

    session_id: str
    position: asyncio.Future[int]


class Positions:
    """Positions as the rest of the process sees them, shared or not."""

    def __init__(self) -> None:
        self._followed = FollowedSessions()
        self._shared: SharedPositions | None = None

    def start(self, line: Line | None) -> None:
        """Share positions over a line to Redis, if there is one. To be called in the event loop that serves."""
        if line is not None:
            self._shared = SharedPositions(line, self._followed)

    async def stop(self) -> None:
        """Share no more."""
        shared, self._shared = self._shared, None
        if shared is not None:
            await shared.close()

    async def tell(self, session_id: str, position: int) -> None:
        """A session has got to a position here; returns when the other nodes can know."""
        if self._shared is not None and session_id:
            await self._shared.tell(session_id, position)

    def ask_ahead(self, session_id: str, seen: int) -> Ahead | None:
        """Ask for what `of` may be asked for in a moment, if there is somebody to ask; nobody has to take the answer.

        It goes out with whatever is asked of Redis in this turn of the loop.
        """
        if self._shared is None or not self._shared.is_up:
            return None
        position = self._shared.ask(session_id, seen)
        position.add_done_callback(_heard)
        return Ahead(session_id, position)

    async def of(self, session_id: str, seen: int, ahead: Ahead | None = None) -> int:
        """How far a session has got on other nodes; they are told that it has got to `seen` here.

        `ahead` is what was asked for since the request came that asks. Raises PositionUnknown.
        """
        if ahead is not None and ahead.session_id == session_id:
            return await ahead.position
        return await self._shared.of(session_id, seen) if self._shared is not None and session_id else 0

    async def follow(self, session_id: str, follower: Follower) -> None:
        """A session follows here from now on; returns when the other nodes can know."""
        if self._shared is not None and session_id:
            self._followed.add(session_id, follower)
            await self._shared.mark(session_id)

    def left(self, follower: Follower) -> None:
        """A follower is gone. When it was its session's last one here, the others will hear how far it got.

        To be called for every follower (`hub.on_leave`).
        """
        session_id = self._followed.remove(follower)
        if session_id is not None and self._shared is not None:
            self._shared.note(session_id, hub.position)


positions = Positions()
