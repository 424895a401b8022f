"""The rules as this process holds them, kept true by control events, so that no request asks the database.

An event carries the rule that it tells of. A rule that expires is dropped here by the clock, without any event.
"""

import asyncio
import heapq
import time
from collections.abc import Callable
from datetime import UTC, datetime

from audit_app.database import in_database
from audit_app.deadlines import without_deadline
from resources_app.hub.hub import hub
from resources_app.log.control import ControlEvent
from sessions_app.access.index import Index
from sessions_app.access.queries import rules_that_hold
from sessions_app.access.rules import GRANTED, REVOKED, Effect, Rule

MAX_SLEEP_SECONDS = 3600.0


class RuleBook:
    """One for each process. `index` is None while the rules are not held: before they are read, and when they may have
    changed without this process having been told.
    """

    def __init__(self) -> None:
        self.index: Index | None = None
        self._loading: asyncio.Task[Index] | None = None
        self._meanwhile: list[ControlEvent] = []
        self._expiries: list[tuple[datetime, str]] = []
        self._timer: asyncio.TimerHandle | None = None
        self._listeners: list[Callable[[Rule | None], None]] = []
        self._generation = 0

    def on_loss(self, listener: Callable[[Rule | None], None]) -> None:
        """Call in the event loop whenever somebody may be allowed less, with the rule that came or went for that; with
        None when that may be anybody.
        """
        self._listeners.append(listener)

    async def read(self) -> Index:
        """The rules that hold: those in memory, else from the database. Raises what the database raises."""
        if self.index is not None:
            return self.index
        if not hub.started:
            return await in_database(_stored)
        return await asyncio.shield(self._reading())

    def forget(self) -> None:
        """Hold nothing: rules are read again before anybody is let do anything."""
        self.index = self._loading = None
        self._generation += 1
        self._expiries.clear()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def renew(self) -> None:
        """Some events will never be told: read all rules again, now, so that whoever may not follow is cut."""
        self.forget()
        self._reading().add_done_callback(_heard)

    def follow(self, event: ControlEvent) -> None:
        """Take in a control event, if it is one of access."""
        if event.kind not in (GRANTED, REVOKED):
            return
        if self.index is None:
            self._meanwhile.append(event)
        else:
            self._apply(self.index, event)

    def _reading(self) -> asyncio.Task[Index]:
        if self._loading is None:
            self._meanwhile.clear()
            self._loading = asyncio.create_task(self._load(self._generation), context=without_deadline())
        return self._loading

    async def _load(self, generation: int) -> Index:
        try:
            index = await in_database(_stored)
        finally:
            if generation == self._generation:
                self._loading = None
        if generation != self._generation:
            # what was read may have been overtaken
            return await self.read()
        self.index = index
        for rule in index:
            self._await_expiry(rule)
        for event in self._meanwhile:
            self._apply(index, event)
        self._meanwhile.clear()
        self._tell(None)
        self._sleep()
        return index

    def _apply(self, index: Index, event: ControlEvent) -> None:
        rule = Rule.loaded(event.data)
        if event.kind == REVOKED:
            index.remove(rule.id)
        elif not rule.has_expired(datetime.now(UTC)):
            index.add(rule)
            self._await_expiry(rule)
            self._sleep()
        if (event.kind == GRANTED) is (rule.effect is Effect.DENY):
            self._tell(rule)

    def _await_expiry(self, rule: Rule) -> None:
        if rule.expires_at is not None:
            heapq.heappush(self._expiries, (rule.expires_at, rule.id))

    def _sleep(self) -> None:
        """Have rules dropped when the next of them expires."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._expiries:
            seconds = self._expiries[0][0].timestamp() - time.time()
            loop = asyncio.get_running_loop()
            self._timer = loop.call_later(min(max(seconds, 0.0), MAX_SLEEP_SECONDS), self._expire)

    def _expire(self) -> None:
        at = datetime.now(UTC)
        while self._expiries and self._expiries[0][0] <= at:
            _, id = heapq.heappop(self._expiries)
            rule = self.index.remove(id) if self.index is not None else None
            if rule is not None and rule.effect is Effect.ALLOW:
                self._tell(rule)
        self._sleep()

    def _tell(self, rule: Rule | None) -> None:
        for listener in self._listeners:
            listener(rule)


def _heard(reading: asyncio.Task[Index]) -> None:
    """What failed is tried again by the next request, and told to whoever makes it."""
    if not reading.cancelled():
        reading.exception()


def _stored() -> Index:
    return Index(rules_that_hold())


rulebook = RuleBook()
