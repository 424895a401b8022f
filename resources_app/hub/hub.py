"""The hub: one per process, it follows the log strictly in offset order and lets everybody else follow it.

Own commits are taken directly where they are the next in the log; what other processes committed is read when the ring
says so, and in any case every `LOG_POLL_SECONDS`, so a lost ring delays and loses nothing (architecture §4).
"""

import asyncio
import contextlib
import heapq
import logging
import time
from collections.abc import Callable, Sequence
from typing import TypeVar

from django.conf import settings

from audit_app.breaker import PartAway
from audit_app.database import in_database
from audit_app.recovery import log_failure
from audit_app.writer import Writer, writer
from encryption_app.data_keys import data_keys
from resources_app.cache import ReadCache
from resources_app.fresh import FreshReads
from resources_app.hub.deltas import Deltas
from resources_app.hub.flusher import Flusher
from resources_app.hub.followers import Follower, Following, Outlet
from resources_app.hub.locks import CONTENT_DESTROYED, open_what_can_be
from resources_app.hub.replays import Replays
from resources_app.hub.topics import Topics
from resources_app.log.control import LOG_TRIMMED, SUBSCRIPTION_DELETED, ControlEvent, read_control
from resources_app.log.events import LoggedEvent
from resources_app.log.head import CHANGES, CONTROL, Bounds, bounds
from resources_app.log.read import read_changes
from resources_app.sealed import is_locked
from resources_app.state import ResourceState
from telemetry_app.metrics import EVENTS, FOLLOWERS, LOG_HEAD

log = logging.getLogger(__name__)

READ_EVENTS = 500

CONTROL_LOST = "control.lost"
"""The kind of the event that stands for control events which this process can never read."""

E = TypeVar("E")
ControlListener = Callable[[ControlEvent], None]
ChangeListener = Callable[[Sequence[LoggedEvent] | None], None]


class Hub:
    """Follows the log for one process, between `start` and `stop`, in one event loop."""

    def __init__(self, source: Writer, cache: ReadCache) -> None:
        self.cache = cache
        self.position = 0
        self.control_position = 0
        self.topics = Topics()
        self.started = False
        self._writer = source
        self._bounds = FreshReads(lambda stream: bounds()[stream])
        self._control_listeners: list[ControlListener] = []
        self._change_listeners: list[ChangeListener] = []
        self._leave_listeners: list[Callable[[Follower], None]] = []
        self._ringers: list[Callable[[], None]] = []
        self._waiters: list[tuple[int, int, asyncio.Future[None]]] = []
        self._tasks: list[asyncio.Task[None]] = []

    # -- life

    async def start(self) -> None:
        """Begin at the head of the log."""
        self._loop = asyncio.get_running_loop()
        self._look = asyncio.Event()
        self.replays = Replays(lambda: self.position)
        self._flusher = Flusher(self.replays)
        self._deltas = Deltas(self._compared)
        self.topics = Topics()
        self._waiters.clear()
        kept = await in_database(bounds)
        self.position, self.control_position = kept[CHANGES].head, kept[CONTROL].head
        self._flusher.position = self.position
        LOG_HEAD.set(self.position)
        self.cache.clear()
        self._tell_changes(None)
        self._writer.listen(self._committed)
        self._tasks = [
            self._loop.create_task(work, name=f"hub {name}")
            for name, work in {
                "tail": self._tail(),
                "flusher": self._flusher.run(),
                "watch": self._flusher.watch(self.topics),
            }.items()
        ]
        self.started = True

    async def stop(self) -> None:
        """Stop following. Followers are told nothing more, nor are the ringers."""
        if not self.started:
            return
        self.started = False
        self._writer.unlisten(self._committed)
        self._ringers.clear()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._flusher.stop()
        await self.replays.stop()

    def on_control(self, listener: ControlListener) -> None:
        """Call for every control event of any node, in order, in the event loop."""
        self._control_listeners.append(listener)

    def on_changes(self, listener: ChangeListener) -> None:
        """Call in the event loop for the changes of all resources, in order, some at a time; with None when some may
        have been missed. Whom they may be shown to is for the listener to find out.
        """
        self._change_listeners.append(listener)

    def on_leave(self, listener: Callable[[Follower], None]) -> None:
        """Call in the event loop for every follower that leaves, in whatever way."""
        self._leave_listeners.append(listener)

    def on_own_commit(self, ringer: Callable[[], None]) -> None:
        """Call in the event loop after this process has committed something that others have to see."""
        self._ringers.append(ringer)

    def ring(self) -> None:
        """Somebody else committed something: look at the log now."""
        self._look.set()

    # -- followers

    async def follow(self, following: Following, outlet: Outlet) -> Follower:
        """Register a follower; nothing is delivered before `begin`.

        Raises Reset when the log cannot prove that nothing is missing after `following.after`.
        """
        if following.after is not None:
            kept = await self.bounds()
            kept.of(following.pattern).prove(following.after)
        cursor = self.position if following.after is None else following.after
        topic = self.topics.of(following, self.position)
        follower = Follower(following, outlet, topic, cursor)
        topic.add(follower)
        FOLLOWERS.inc()
        return follower

    def begin(self, follower: Follower) -> None:
        """Deliver what the follower has missed, then everything that comes."""
        self._flusher.start(follower)

    def leave(self, follower: Follower) -> None:
        """Deliver nothing more to a follower. May be called more than once."""
        if follower.left:
            return
        follower.left = True
        FOLLOWERS.dec()
        self._flusher.detach(follower)
        if not follower.topic.followers:
            self.topics.drop(follower.topic)
        for listener in self._leave_listeners:
            listener(follower)

    def passed(self, follower: Follower) -> int:
        """The offset up to which a follower has been handed everything that matches."""
        return follower.cursor if follower.cursor < follower.topic.last else max(follower.cursor, self.position)

    async def bounds(self) -> Bounds:
        """Where the log of changes begins and ends; read after it was asked for, by one for all who ask at once."""
        return await self._bounds.of(CHANGES)

    @property
    def waiting(self) -> int:
        """How many wait for a position."""
        return len(self._waiters)

    async def reached(self, offset: int, timeout: float) -> bool:
        """Wait until this process has seen the log up to `offset`; False after `timeout` seconds without that."""
        if self.position >= offset:
            return True
        future: asyncio.Future[None] = self._loop.create_future()
        waiter = (offset, id(future), future)
        heapq.heappush(self._waiters, waiter)
        self._look.set()
        try:
            async with asyncio.timeout(timeout):
                await future
        except TimeoutError:
            return False
        finally:
            if waiter in self._waiters:
                self._waiters.remove(waiter)
                heapq.heapify(self._waiters)
        return True

    # -- the log

    def _committed(self, events: Sequence[object]) -> None:
        """In the writer's thread."""
        self._loop.call_soon_threadsafe(self._own, events)

    def _own(self, events: Sequence[object]) -> None:
        changes = [event for event in events if isinstance(event, LoggedEvent)]
        control = [event for event in events if isinstance(event, ControlEvent)]
        for change in changes:
            EVENTS.labels(change.type).inc()
        if (changes and changes[0].offset > self.position + 1) or (
            control and control[0].offset > self.control_position + 1
        ):
            self._look.set()
        else:
            self._take(changes)
            self._take_control(control)
        for ringer in self._ringers:
            ringer()

    def _take(self, events: Sequence[LoggedEvent]) -> None:
        events = [event for event in events if event.offset > self.position]
        for event in events:
            self.position = self._flusher.position = event.offset
            before = self.cache.apply(event.after)
            taken = self.topics.skip(event) if is_locked(event.after) else self.topics.take(event, _known(before))
            for topic in taken:
                self._flusher.mark(topic, event.time.timestamp(), event.trace)
        self._deltas.make(events)
        if events:
            self._tell_changes(events)
        LOG_HEAD.set(self.position)
        while self._waiters and self._waiters[0][0] <= self.position:
            _, _, future = heapq.heappop(self._waiters)
            if not future.done():
                future.set_result(None)

    def _tell_changes(self, events: Sequence[LoggedEvent] | None) -> None:
        for listener in self._change_listeners:
            try:
                listener(events)
            except Exception:
                log.exception("a listener failed on changes")

    def _compared(self, events: Sequence[LoggedEvent]) -> None:
        """Followers that take deltas have waited for these."""
        for event in events:
            for topic in self.topics.matching(event):
                self._flusher.mark(topic, event.time.timestamp())

    def _take_control(self, events: Sequence[ControlEvent]) -> None:
        for event in events:
            if event.offset <= self.control_position:
                continue
            self.control_position = event.offset
            if event.kind == SUBSCRIPTION_DELETED:
                self._end(event.subject)
            elif event.kind == CONTENT_DESTROYED:
                self._forget(event.subject, event.data["uri"])
            elif event.kind in {LOG_TRIMMED, CONTROL_LOST}:
                self.replays.clear()
            for listener in self._control_listeners:
                try:
                    listener(event)
                except Exception:
                    log.exception("a listener failed on control event %s", event.kind)

    def _end(self, subscription: str) -> None:
        """Nobody follows a durable subscription any more."""
        for follower in [one for topic in self.topics for one in topic.followers if one.subscription == subscription]:
            self.leave(follower)
            follower.outlet.deleted(subscription)

    def _forget(self, key: str, uri: str) -> None:
        """The content of a resource was destroyed: it goes from the memory, too."""
        data_keys.held.destroy(key)
        self.cache.drop(uri)
        self.replays.forget(uri)
        for topic in self.topics.around(uri):
            topic.restart(self.position)
            self._flusher.mark(topic, time.time())

    async def _tail(self) -> None:
        while True:
            # not wait_for, which on Python 3.11 may swallow a cancellation
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(settings.LOG_POLL_SECONDS):
                    await self._look.wait()
            self._look.clear()
            try:
                await self._read_up()
            except PartAway:
                await asyncio.sleep(settings.LOG_POLL_SECONDS)
            except Exception as error:
                log_failure(log, error, "the log could not be read; trying again")
                await asyncio.sleep(settings.LOG_POLL_SECONDS)

    async def _read_up(self) -> None:
        """Take in everything that is committed and has not been seen."""
        kept = await in_database(bounds)
        while self.position < kept[CHANGES].head:
            changes, kept = await in_database(_read, read_changes, self.position)
            everything = kept[CHANGES].of(None)
            if everything.earliest > self.position + 1:
                self._fell_out(everything)
            await open_what_can_be(changes)
            self._take(changes)
        while self.control_position < kept[CONTROL].head:
            control, kept = await in_database(_read, read_control, self.control_position)
            if kept[CONTROL].earliest > self.control_position + 1:
                self._lost_control(kept[CONTROL])
            self._take_control(control)

    def _fell_out(self, kept: Bounds) -> None:
        """What this process needs next was trimmed: everybody who relied on it starts again."""
        self.cache.clear()
        self.position = self._flusher.position = kept.earliest - 1
        for topic in self.topics:
            topic.restart(self.position)
            self._flusher.mark(topic, time.time())
        self._tell_changes(None)

    def _lost_control(self, kept: Bounds) -> None:
        """Control events were trimmed before this process read them: nothing that they keep true is true any more."""
        log.error("control events up to %d were trimmed before they were read", kept.earliest - 1)
        self._take_control([ControlEvent(kind=CONTROL_LOST, subject="", offset=kept.earliest - 1)])


def _read(read: Callable[[int, int], list[E]], after: int) -> tuple[list[E], dict[str, Bounds]]:
    """Events, then the bounds: had anything that was asked for been trimmed before, the bounds would tell."""
    events = read(after, READ_EVENTS)
    return events, bounds()


def _known(before: ResourceState | None) -> ResourceState | None:
    """The state before a change, if its content is known."""
    return None if before is None or is_locked(before) else before


hub = Hub(writer, ReadCache())
