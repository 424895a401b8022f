"""One bucket for all nodes, in Redis (seed §12.2, docs/limits.md).

A node asks for tokens by a script, which decides for all nodes alike and by the clock of Redis. Of a large bucket it is
lent some ahead, for a moment, and decides most requests without asking. What is lent counts as part of the bucket until
it runs out, so that tokens and leases together are never more than the bucket holds; small buckets lend nothing, so
that no token lies idle on one node while the other refuses. While one exchange is under way the next gathers: many
requests share one. Whoever asks for a key that others wait for waits behind them, so that calls keep their order.
"""

import asyncio
import contextlib
import math
import secrets
from collections.abc import Callable, Iterable, Sequence
from itertools import chain
from typing import Any

from redis.exceptions import NoScriptError

from audit_app.breaker import Breaker, PartAway
from audit_app.recovery import LIMITS
from sessions_app.buckets import MAX_BUCKETS, Rate, seconds_until
from sessions_app.caches import Memory
from sessions_app.lease_script import COUNT_NODES, NODES, PREFIX, TAKE, TAKE_SHA
from sessions_app.line import Command, Line

BEAT_SECONDS = 0.5

COUNT_EACH_SECONDS = 2.0
NODE_SECONDS = 10
"""For how long a node counts that says nothing any more."""

LEASE_SECONDS = 0.5
LEASED_FROM = 256
"""The smallest amount of which tokens are lent ahead."""
LEASED_SHARE = 32
"""One in so many of the tokens that are left."""

ASK_AGAIN_SECONDS = 0.02
"""How soon an empty bucket is asked again: other nodes may have given something back."""

KEYS_AT_ONCE = 200
DUE_AT_MOST = 10_000


class Exhausted(Exception):
    """The shared bucket has too few tokens; in `wait` seconds it will have enough."""

    def __init__(self, wait: float) -> None:
        self.wait = wait
        super().__init__(wait)


class Share:
    """What this node has of one shared bucket, and knows of it. Times are loop times in seconds.

    `ahead` tokens may be spent until `until`; `left` were there besides when Redis was asked, at `asked_at`; `given`
    are to be put back. `empty_until`: asking is of no use. So many requests are `waiting`.
    """

    __slots__ = ("ahead", "asked_at", "empty_until", "given", "left", "until", "waiting")

    def __init__(self) -> None:
        self.ahead = 0
        self.until = 0.0
        self.left = 0.0
        self.given = 0
        self.empty_until = 0.0
        self.asked_at = 0.0
        self.waiting = 0

    def wait(self, rate: Rate, cost: int, now: float) -> float:
        """In how many seconds there will be enough tokens, as far as is known; at most 0 when there are."""
        return seconds_until(rate, cost - self.left - self.ahead) - (now - self.asked_at)


class Waiter:
    """A request that waits for tokens. Its future has the seconds until they come, 0 for those that it has been given,
    None when Redis is away.
    """

    __slots__ = ("cost", "future")

    def __init__(self, cost: int, future: asyncio.Future[float | None]) -> None:
        self.cost = cost
        self.future = future


class SharedBuckets:
    """The buckets of all nodes, for one process and one event loop."""

    def __init__(self, line: Line) -> None:
        self._line = line
        self._loop = asyncio.get_running_loop()
        self._node = secrets.token_hex(6)
        self._shares: Memory[str, Share] = Memory(MAX_BUCKETS)
        self._asked: dict[str, tuple[Rate, Share, list[Waiter]]] = {}
        self._exchanging: asyncio.Task[None] | None = None
        self.nodes = 1
        """How many nodes share the buckets, this one included; while Redis is away, how many did."""
        self._many_at = self._counted_at = -math.inf
        # whatever goes wrong, nobody who waits may be left waiting
        self._breaker = Breaker(LIMITS, counts=lambda error: True)
        self._beating = self._loop.create_task(self._beat())

    @property
    def is_up(self) -> bool:
        """Whether Redis answered the last exchange."""
        return not self._breaker.is_open

    async def take(self, key: str, rate: Rate, cost: int, meanwhile: Callable[[], None] | None = None) -> int | None:
        """Take tokens of a bucket; returns how many it has left, None when Redis cannot be asked.

        Suspends only when Redis has to be asked, after a call to `meanwhile`: what that asks for costs no round trip
        of its own. Raises Exhausted.
        """
        share = self._shares.get(key)
        if share is None:
            share = Share()
            self._shares.put(key, share)
        if not share.waiting:
            now = self._loop.time()
            if share.ahead >= cost and now < share.until:
                share.ahead -= cost
                return int(share.left) + share.ahead
            if now < share.empty_until:
                raise Exhausted(share.wait(rate, cost, now))
        if self._breaker.is_open:
            if share.waiting:
                # they have just been let go, and have their turn first
                await asyncio.sleep(0)
            return None
        if meanwhile is not None:
            meanwhile()
        waiter = Waiter(cost, self._loop.create_future())
        self._want(key, rate, share).append(waiter)
        share.waiting += 1
        try:
            wait = await waiter.future
        except asyncio.CancelledError:
            if not waiter.future.cancelled() and waiter.future.result() == 0.0:
                self.give(key, rate, cost)
            raise
        finally:
            share.waiting -= 1
        if wait:
            raise Exhausted(wait)
        return None if wait is None else int(share.left) + share.ahead

    def wait(self, key: str, rate: Rate, cost: int) -> float:
        """In how many seconds the shared bucket will have enough tokens, as far as is known here; else at most 0."""
        share = self._shares.get(key)
        return 0.0 if share is None or not self.is_up else share.wait(rate, cost, self._loop.time())

    def give(self, key: str, rate: Rate, cost: int) -> None:
        """Put back what was taken and not used; the other nodes have it in a moment."""
        share = self._shares.get(key)
        if share is not None and self.is_up and len(self._asked) < DUE_AT_MOST:
            share.given += cost
            self._want(key, rate, share)

    async def close(self) -> None:
        """Give back what is being given back, and be counted no more."""
        self._beating.cancel()
        if self._exchanging is not None:
            await asyncio.wait([self._exchanging])
        await asyncio.gather(self._beating, return_exceptions=True)
        if self.is_up and self._line.is_connected:
            with contextlib.suppress(PartAway), self._breaker.guard():
                await self._line.ask(("ZREM", NODES, self._node))

    # -- exchanges

    def _want(self, key: str, rate: Rate, share: Share) -> list[Waiter]:
        """Those who wait for a key, which is asked for in the next exchange."""
        asked = self._asked.get(key)
        if asked is None:
            asked = self._asked[key] = (rate, share, [])
        if self._exchanging is None:
            self._exchanging = self._loop.create_task(self._exchange())
        return asked[2]

    async def _beat(self) -> None:
        """For ever: connect before somebody waits for it, notice a server that is back, and count the nodes."""
        while True:
            is_there = self.is_up and self._line.is_connected
            if self._exchanging is None and not (is_there and self._knows_nodes):
                self._exchanging = self._loop.create_task(self._exchange())
            await asyncio.sleep(BEAT_SECONDS)

    async def _exchange(self) -> None:
        try:
            while True:
                keys = list(self._asked)[:KEYS_AT_ONCE]
                asked = {key: self._asked.pop(key) for key in keys}
                sent = self._loop.time()
                try:
                    with self._breaker.guard():
                        answers = await self._round_trip(asked)
                        for (key, (rate, share, waiters)), answer in zip(asked.items(), answers, strict=True):
                            self._answer(key, rate, share, waiters, answer, sent)
                except PartAway:
                    self._failed(chain(asked.values(), self._asked.values()))
                    self._asked = {}
                    return
                if not self._asked:
                    return
        finally:
            self._exchanging = None

    async def _round_trip(self, asked: dict[str, tuple[Rate, Share, list[Waiter]]]) -> Sequence[Any]:
        arguments: list[Any] = [self._node, int(LEASE_SECONDS * 1_000_000)]
        for rate, share, waiters in asked.values():
            waiters[:] = [waiter for waiter in waiters if not waiter.future.done()]
            costs = ",".join([str(waiter.cost) for waiter in waiters])
            lends = LEASED_SHARE if rate.amount >= LEASED_FROM and waiters else 0
            arguments += (rate.amount, rate.seconds * 1_000_000, costs, share.given + share.ahead, lends)
            share.given = share.ahead = 0
        values = (len(asked), *(PREFIX + key for key in asked), *arguments)
        commands: list[Command] = [("EVALSHA", TAKE_SHA, *values)]
        if not self._knows_nodes:
            commands.append(("EVAL", COUNT_NODES, 1, NODES, self._node, NODE_SECONDS))
        answer, *counted = await self._line.ask(*commands)
        if isinstance(answer, NoScriptError):
            (answer,) = await self._line.ask(("EVAL", TAKE, *values))
        for found in (answer, *counted):
            if isinstance(found, Exception):
                raise found
        if counted:
            self._counted(int(counted[0]))
        shares: Sequence[Any] = answer
        return shares

    # -- the other nodes

    @property
    def _knows_nodes(self) -> bool:
        return self._loop.time() - self._counted_at < COUNT_EACH_SECONDS

    def _counted(self, nodes: int) -> None:
        """That there are fewer is believed late: a Redis that lost everything first hears of this one alone."""
        now = self._counted_at = self._loop.time()
        if nodes >= self.nodes or now - self._many_at > NODE_SECONDS:
            self.nodes, self._many_at = nodes, now

    # -- what becomes of those who wait

    def _answer(
        self, key: str, rate: Rate, share: Share, waiters: Sequence[Waiter], answer: Sequence[Any], sent: float
    ) -> None:
        """Tell those who wait what Redis has decided; what nobody waits for any more goes back."""
        whole, share.ahead, share.left = int(answer[0]), int(answer[1]), float(answer[2])
        now = self._loop.time()
        # a lease ends here before it ends there, and a token comes there before it counts here
        share.until, share.asked_at = sent + LEASE_SECONDS, now
        for waiter in waiters:
            is_granted = waiter.cost <= whole
            if is_granted:
                whole -= waiter.cost
            if waiter.future.done():
                if is_granted:
                    self.give(key, rate, waiter.cost)
            elif is_granted:
                waiter.future.set_result(0.0)
            else:
                waiter.future.set_result(seconds_until(rate, waiter.cost - share.left))
        if waiters and share.left < 1:
            share.empty_until = now + min(ASK_AGAIN_SECONDS, seconds_until(rate, 1 - share.left))

    @staticmethod
    def _failed(asked: Iterable[tuple[Rate, Share, list[Waiter]]]) -> None:
        """Let everybody go who waits: they decide by their own buckets until Redis is back."""
        for _, share, waiters in asked:
            share.given = share.ahead = 0
            for waiter in waiters:
                if not waiter.future.done():
                    waiter.future.set_result(None)
