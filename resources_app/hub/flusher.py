"""The flusher: hands what is pending to followers, as few and as full frames as the load asks for (architecture §4).

One walk over the followers of all topics that have something new, then a rest in which the next events gather; idle,
it wakes at once. A send that suspends (its client reads too slowly) goes on as a task of its own, and the follower
catches up in one larger frame when it is done.
"""

import asyncio
import logging
import time
from collections import Counter
from collections.abc import Coroutine, Generator
from typing import Any

from django.conf import settings
from django.db import DatabaseError, InterfaceError

from audit_app.errors import Unavailable
from audit_app.recovery import log_failure
from resources_app.hub.catch_up import catch_up
from resources_app.hub.delivery_spans import delivery_span
from resources_app.hub.followers import Follower
from resources_app.hub.replays import Replays
from resources_app.hub.topics import Chunk, Topic
from resources_app.log.head import Bounds
from telemetry_app.metrics import DELIVERIES, DELIVERY_LAG, FOLLOWER_RESETS, FOLLOWERS_CUT
from telemetry_app.tracing.context import TraceContext
from telemetry_app.tracing.tracer import tracer

log = logging.getLogger(__name__)

TICK_SECONDS = 0.002
REST_SHARE = 1 / 3
"""Of the time that a walk took. More rest means fuller frames and later events (docs/architecture.md §4)."""

SLOW_SECONDS = 10.0
BOOKMARK_SECONDS = 8.0
WATCH_SECONDS = 1.0
LONGEST_PAUSE_SECONDS = 1.0
SENDS_A_TURN = 256


class Flusher:
    """Walks the dirty topics of one process. `position` tells how far the hub has got."""

    def __init__(self, replays: Replays) -> None:
        self.position = 0
        self._replays = replays
        self._dirty: dict[Topic, float] = {}
        self._traced: dict[Topic, list[TraceContext]] = {}
        self._wake = asyncio.Event()
        self._sent: Counter[str] = Counter()
        self._loop = asyncio.get_running_loop()
        self._tasks: set[asyncio.Task[None]] = set()

    def mark(self, topic: Topic, since: float, trace: TraceContext | None = None) -> None:
        """Something was added to a topic; it was committed at that Unix time, in seconds, maybe in a trace."""
        self._dirty.setdefault(topic, since)
        if trace is not None and tracer.is_on and trace.is_sampled:
            self._traced.setdefault(topic, []).append(trace)
        self._wake.set()

    async def run(self) -> None:
        """Walk for ever."""
        while True:
            await self._wake.wait()
            self._wake.clear()
            began = self._loop.time()
            await self._walk()
            self._count()
            await asyncio.sleep(max(TICK_SECONDS, (self._loop.time() - began) * REST_SHARE))

    def start(self, follower: Follower) -> None:
        """Begin to deliver: from the log while the follower is behind its topic's tail, then live."""
        if not follower.attached:
            return
        follower.sent_at = self._loop.time()
        if follower.cursor < follower.topic.floor:
            self._spawn(follower, self._catch_up(follower))
        else:
            follower.busy = False
            self.serve(follower)

    async def stop(self) -> None:
        """End whatever goes on for followers."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def serve(self, follower: Follower) -> None:
        """Hand over what is pending, unless the follower is busy or has to wait by its throttle."""
        try:
            self._serve(follower)
        except Exception:
            log.debug("a follower went away", exc_info=True)
            self._cut(follower)

    def _serve(self, follower: Follower) -> None:
        while not follower.busy and follower.attached:
            topic = follower.topic
            if follower.cursor < topic.floor:
                follower.busy = True
                self._spawn(follower, self._catch_up(follower))
                return
            chunk = topic.chunk(
                follower.cursor, follower.batch_size, follower.include_content, follower.began, follower.form
            )
            if chunk is None:
                return
            now = self._loop.time()
            if follower.throttle:
                if follower.not_before > now:
                    self._spawn_later(follower, follower.not_before)
                    return
                follower.not_before = now + follower.throttle
            follower.sent_at = now
            self._hand(follower, chunk)

    def _hand(self, follower: Follower, chunk: Chunk) -> None:
        follower.cursor = chunk.last
        self._sent[follower.outlet.transport] += chunk.count
        self._drive(follower, follower.deliver(follower.subscription, chunk.payload, chunk.last))

    def _drive(self, follower: Follower, send: Coroutine[Any, Any, None]) -> None:
        """Drive the outlet's coroutine here; only one that suspends costs a task."""
        try:
            waits_for = send.send(None)
        except StopIteration:
            return
        follower.busy = True
        follower.busy_since = follower.sent_at
        self._spawn(follower, self._finish(follower, send, waits_for))

    async def _finish(self, follower: Follower, send: Coroutine[Any, Any, None], waits_for: Any) -> None:
        await Suspended(send, waits_for)
        follower.busy_since = None
        follower.busy = False
        self.serve(follower)

    async def _catch_up(self, follower: Follower) -> None:
        fallen = await self._read_log(follower)
        if fallen is not None:
            self.detach(follower)
            FOLLOWER_RESETS.inc()
            await follower.outlet.reset(follower.subscription, fallen.earliest, fallen.head)
            return
        follower.busy_since = None
        follower.busy = False
        self.serve(follower)

    async def _read_log(self, follower: Follower) -> Bounds | None:
        """Catch up, however long the database or the keys stay away."""
        pause = settings.LOG_POLL_SECONDS
        while True:
            try:
                return await catch_up(follower, self._replays, self._sent)
            except Unavailable:
                await asyncio.sleep(pause)
            except (DatabaseError, InterfaceError) as error:
                log_failure(log, error, "the log could not be read for a follower; trying again")
                await asyncio.sleep(pause)
            # many may wait for long, and nobody else is to pay for that
            pause = max(pause, min(pause * 2, LONGEST_PAUSE_SECONDS))

    def _cut(self, follower: Follower) -> None:
        """Give up a client that cannot be served: it is told by its outlet, never left to wait for nothing."""
        self.detach(follower)
        try:
            follower.outlet.slow()
        except Exception:
            log.debug("a client that was cut went away", exc_info=True)

    def detach(self, follower: Follower) -> None:
        """Deliver nothing more to a follower; its topic is told by whoever owns the topics."""
        follower.attached = False
        follower.topic.followers.pop(follower, None)
        if follower.task is not None and follower.task is not asyncio.current_task():
            follower.task.cancel()

    async def watch(self, topics: Any) -> None:
        """For ever: cut followers whose clients do not read, and send bookmarks to those that are idle."""
        while True:
            await asyncio.sleep(WATCH_SECONDS)
            now = self._loop.time()
            sent = 0
            for follower in [follower for topic in topics for follower in topic.followers]:
                if follower.busy_since is not None and now - follower.busy_since > SLOW_SECONDS:
                    FOLLOWERS_CUT.inc()
                    follower.topic.cut += 1
                    self._cut(follower)
                elif not follower.busy and follower.attached and now - follower.sent_at > BOOKMARK_SECONDS:
                    self._bookmark(follower, now)
                    sent += 1
                    if sent % SENDS_A_TURN == 0:
                        await asyncio.sleep(0)

    def _bookmark(self, follower: Follower, now: float) -> None:
        if follower.cursor < follower.topic.last:
            return
        follower.sent_at = now
        follower.cursor = max(follower.cursor, self.position)
        try:
            self._drive(follower, follower.outlet.bookmark(follower.subscription, follower.cursor))
        except Exception:
            log.debug("a follower went away", exc_info=True)
            self._cut(follower)

    async def _walk(self) -> None:
        dirty, self._dirty = self._dirty, {}
        sends = 0
        for topic, since in dirty.items():
            for follower in list(topic.followers):
                if not follower.busy:
                    self.serve(follower)
                    sends += 1
                    if sends % SENDS_A_TURN == 0:
                        await asyncio.sleep(0)
            DELIVERY_LAG.observe(max(0.0, time.time() - since))
            if self._traced and (traced := self._traced.pop(topic, None)):
                tracer.hand(delivery_span(topic, since, traced))

    def _count(self) -> None:
        for transport, count in self._sent.items():
            DELIVERIES.labels(transport).inc(count)
        self._sent.clear()

    def _spawn_later(self, follower: Follower, at: float) -> None:
        follower.busy = True

        def due() -> None:
            follower.busy = False
            self.serve(follower)

        self._loop.call_at(at, due)

    def _spawn(self, follower: Follower, work: Coroutine[Any, Any, None]) -> None:
        task = follower.task = self._loop.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(lambda done: self._ended(follower, done))

    def _ended(self, follower: Follower, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and task.exception() is not None:
            log.debug("a follower went away", exc_info=task.exception())
            self._cut(follower)


class Suspended:
    """Awaits the rest of a coroutine that was driven by hand until it waited for something."""

    def __init__(self, coroutine: Coroutine[Any, Any, None], waits_for: Any) -> None:
        self._coroutine = coroutine
        self._waits_for = waits_for

    def __await__(self) -> Generator[Any, Any, None]:
        waits_for = self._waits_for
        try:
            while True:
                try:
                    value = yield waits_for
                except BaseException as error:
                    waits_for = self._coroutine.throw(error)
                else:
                    waits_for = self._coroutine.send(value)
        except StopIteration:
            return
