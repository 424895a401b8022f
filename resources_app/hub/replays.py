"""Replays: what followers behind their topic's tail need of the log is loaded once for all of them (architecture §4).

One load at a time reads for a pattern, and few at a time for all, in the order in which patterns ask: a crowd on one
topic delays no other, and the database is not asked by more of them than it would answer at once. What was read stays
for some seconds, within bounds, for those who come a little later.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Sequence

from audit_app.database import in_database
from audit_app.deadlines import without_deadline
from audit_app.errors import Unavailable
from encryption_app.data_keys import data_keys
from encryption_app.errors import ContentTampered
from resources_app.hub.followers import Follower
from resources_app.hub.loads import open_part, read_part
from resources_app.hub.shelves import Load, Shelf, covering
from resources_app.hub.stretches import Stretch, divide
from resources_app.hub.turns import Turns
from resources_app.log.head import Bounds
from resources_app.patterns import Pattern
from telemetry_app.metrics import REPLAY_BYTES, REPLAY_LOADS, REPLAYS

LOADS_AT_ONCE = 2
ENOUGH_EVENTS = 64
"""In one delivery, for a follower that takes no other, when the log has them."""

NEAR_OFFSETS = 64
"""Followers whose cursors are about so close to each other share a load; it begins before the first of them."""

KEEP_SECONDS = 5.0
KEEP_BYTES = 8 * 1024 * 1024

LOADED, SHARED = (REPLAYS.labels(source) for source in ("load", "shared"))


class Replays:
    """The replays of one hub. Nothing is replayed beyond its `position`: what anybody is told of can be read here."""

    def __init__(self, position: Callable[[], int]) -> None:
        self._position = position
        self._loop = asyncio.get_running_loop()
        self._turns = Turns()
        self._room = asyncio.Semaphore(LOADS_AT_ONCE)
        self._shelves: dict[tuple[Pattern, bool], Shelf] = {}
        self._kept: deque[tuple[float, Shelf, Stretch]] = deque()
        self._bytes = 0
        self._expiry: asyncio.TimerHandle | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    async def next(self, follower: Follower, *, once: bool = False) -> Stretch | Bounds:
        """The stretch of the log in which a follower, who is behind its topic's tail, finds what comes next.

        Or the bounds of the log, when that was trimmed, or is not what was written. The caller has a turn then: it
        goes on until it waits for something. `once`: the follower takes one delivery, so as much as it may be given
        has to be in it, if the log has that. Raises Unavailable while the keys of what is encrypted are not to be had,
        and what the database raises.
        """
        after = follower.cursor
        # a load that begins before the cursor is for others, too; it may bring too little, or what does not open
        is_exact = once
        source = SHARED
        await self._turns.take()
        while True:
            shelf = self._shelf(follower)
            found = shelf.find(after)
            if found is None or not _may_be_shown(found) or (once and not self._has_enough(found, follower)):
                if shelf.load is None:
                    self._begin(shelf, after, is_exact)
                    source = LOADED
                load = await self._wait(shelf)
                if load.error is not None:
                    raise load.error.with_traceback(None)
                if shelf.is_dropped:
                    continue
                if load.kept.earliest > after + 1 or (load.is_tampered and load.start == after):
                    return load.kept
                is_exact = is_exact or load.start <= after
                found = covering(load.stretches, after)
                if found is None or (once and load.start != after):
                    continue
            source.inc()
            return found

    def forget(self, uri: str) -> None:
        """The content of a resource was destroyed: what may hold it is read again."""
        for shelf in [shelf for shelf in self._shelves.values() if shelf.pattern.covers(uri)]:
            self._drop(shelf)

    def clear(self) -> None:
        """Whatever is at hand may not be in the log any more."""
        for shelf in list(self._shelves.values()):
            self._drop(shelf)

    async def stop(self) -> None:
        """Read nothing more."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self.clear()

    # -- loading

    def _shelf(self, follower: Follower) -> Shelf:
        key = (follower.topic.pattern, follower.began is not None)
        shelf = self._shelves.get(key)
        if shelf is None:
            shelf = self._shelves[key] = Shelf(*key)
        return shelf

    def _has_enough(self, stretch: Stretch, follower: Follower) -> bool:
        if stretch.is_full or stretch.upto >= self._position():
            return True
        return stretch.rest(follower.cursor) >= min(follower.batch_size, ENOUGH_EVENTS)

    def _begin(self, shelf: Shelf, after: int, is_exact: bool) -> None:
        # who has come to the end of a stretch has come with others
        is_exact = is_exact or any(stretch.upto == after for stretch in shelf.stretches)
        shelf.load = Load(after if is_exact else after - after % NEAR_OFFSETS)
        # others wait for it, whose time is not that of the present request
        task = self._loop.create_task(self._load(shelf, shelf.load), context=without_deadline())
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _wait(self, shelf: Shelf) -> Load:
        load = shelf.load
        assert load is not None
        turn: asyncio.Future[None] = self._loop.create_future()
        load.waiting.append(turn)
        shelf.waiting += 1
        try:
            await turn
        finally:
            shelf.waiting -= 1
            self._tidy(shelf)
        return load

    async def _load(self, shelf: Shelf, load: Load) -> None:
        try:
            await self._read(shelf, load)
        except asyncio.CancelledError:
            load.error = Unavailable()
            raise
        except Exception as error:
            load.error = error
        finally:
            shelf.load = None
            self._turns.queue(load.waiting)
            self._tidy(shelf)

    async def _read(self, shelf: Shelf, load: Load) -> None:
        async with self._room:
            REPLAY_LOADS.inc()
            part = (shelf.pattern, shelf.has_deltas, load.start, self._position())
            events, upto, load.kept = await in_database(read_part, *part)
        try:
            await open_part(events, shelf.has_deltas)
        except ContentTampered:
            load.is_tampered = True
            return
        # what lies below was perhaps trimmed in part
        after = max(load.start, load.kept.earliest - 1)
        load.stretches = divide([event for event in events if event.offset > after], after, upto)
        if not shelf.is_dropped:
            self._keep(shelf, load.stretches)

    # -- keeping

    def _keep(self, shelf: Shelf, stretches: Sequence[Stretch]) -> None:
        until = self._loop.time() + KEEP_SECONDS
        for stretch in stretches:
            shelf.add(stretch)
            self._kept.append((until, shelf, stretch))
            self._bytes += stretch.size
        while self._bytes > KEEP_BYTES:
            self._drop_oldest()
        self._kept_changed()

    def _expire(self) -> None:
        self._expiry = None
        now = self._loop.time()
        while self._kept and self._kept[0][0] <= now:
            self._drop_oldest()
        self._kept_changed()

    def _drop_oldest(self) -> None:
        _, shelf, stretch = self._kept.popleft()
        self._bytes -= stretch.size
        shelf.stretches.remove(stretch)
        self._tidy(shelf)

    def _drop(self, shelf: Shelf) -> None:
        shelf.is_dropped = True
        del self._shelves[shelf.pattern, shelf.has_deltas]
        self._bytes -= sum(stretch.size for stretch in shelf.stretches)
        self._kept = deque(kept for kept in self._kept if kept[1] is not shelf)
        self._kept_changed()

    def _kept_changed(self) -> None:
        REPLAY_BYTES.set(self._bytes)
        if not self._kept:
            if self._expiry is not None:
                self._expiry.cancel()
                self._expiry = None
        elif self._expiry is None:
            self._expiry = self._loop.call_at(self._kept[0][0], self._expire)

    def _tidy(self, shelf: Shelf) -> None:
        """Nothing stays of a pattern of which nothing is at hand, and for which nobody waits."""
        key = (shelf.pattern, shelf.has_deltas)
        if not (shelf.stretches or shelf.load or shelf.waiting) and self._shelves.get(key) is shelf:
            del self._shelves[key]


def _may_be_shown(stretch: Stretch) -> bool:
    """What was opened before is only shown while its data keys are held."""
    return all(data_keys.held.get(id) is not None for id in stretch.sealers)
