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
from resources_app.patterns import Pattern
from sessions_app.access.index import Index
from sessions_app.access.queries import rules_that_hold
from sessions_app.access.rules import EVERYTHING, GRANTED, REVOKED, Rule

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
        self._listeners: list[Callable[[Pattern], None]] = []

    def on_change(self, listener: Callable[[Pattern], None]) -> None:
        """Call in the event loop whenever a rule comes or goes, with the pattern in which decisions may differ now."""
        self._listeners.append(listener)

    async def read(self) -> Index:
        """The rules that hold: those in memory, else from the database. Raises what the database raises."""
        if self.index is not None:
            return self.index
        if not hub.started:
            return await in_database(_stored)
        if self._loading is None:
            self._meanwhile.clear()
            self._loading = asyncio.create_task(self._load(), context=without_deadline())
        return await asyncio.shield(self._loading)

    def forget(self) -> None:
        """Hold nothing: rules are read again before anybody is let do anything."""
        self.index = None
        self._expiries.clear()
        for waiting in (self._loading, self._timer):
            if waiting is not None:
                waiting.cancel()
        self._loading = self._timer = None

    def follow(self, event: ControlEvent) -> None:
        """Take in a control event, if it is one of access."""
        if event.kind not in (GRANTED, REVOKED):
            return
        if self.index is None:
            self._meanwhile.append(event)
        else:
            self._apply(self.index, event)

    async def _load(self) -> Index:
        try:
            index = await in_database(_stored)
        finally:
            self._loading = None
        self.index = index
        for rule in index:
            self._await_expiry(rule)
        for event in self._meanwhile:
            self._apply(index, event)
        self._meanwhile.clear()
        self._tell(EVERYTHING)
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
        self._tell(rule.pattern)

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
            if rule is not None:
                self._tell(rule.pattern)
        self._sleep()

    def _tell(self, pattern: Pattern) -> None:
        for listener in self._listeners:
            listener(pattern)


def _stored() -> Index:
    return Index(rules_that_hold())


rulebook = RuleBook()
