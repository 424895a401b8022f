"""Requests that limits refused, in the trail: a flood must not flood it (contract §8, docs/limits.md).

The first refusal of somebody by one limit leaves its entry as any other does. Those that follow within
RATE_LIMIT_ENTRY_SECONDS are counted, and one entry tells of them when the time is over, or when the node ends. What is
counted is lost only with the process.
"""

import asyncio
import logging
import time
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from django.conf import settings
from uuid_utils import uuid7

from audit_app.commands import Record
from audit_app.trail import Entry
from audit_app.writer import writer
from sessions_app.errors import RateLimited
from sessions_app.limits import network_of

log = logging.getLogger(__name__)

TICK_SECONDS = 1.0

AT_ONCE = 256

ACTION = "limits/refused"
"""What the entry is called that tells of many."""

MAX_KEYS = 10_000
"""Callers and addresses that are told apart in one period; those beyond are counted together."""

EVERYBODY_ELSE = ""

Key = tuple[str, str]


class Gathered:
    """What has followed a first refusal; the entry is that of the latest."""

    __slots__ = ("count", "ends_at", "entry", "first", "last", "refusal")

    def __init__(self, ends_at: float) -> None:
        self.ends_at = ends_at
        self.count = 0
        self.first = self.last = 0.0
        self.entry: Entry | None = None
        self.refusal: RateLimited | None = None

    def add(self, entry: Entry, refusal: RateLimited) -> None:
        self.first = self.first or entry.timestamp
        self.last = entry.timestamp
        self.count += 1
        self.entry, self.refusal = entry, refusal


class Refused:
    """The refusals by limits that this process has not told of yet."""

    def __init__(self, max_keys: int = MAX_KEYS) -> None:
        self._max_keys = max_keys
        self._gathered: dict[Key, Gathered] = {}

    def is_gathered(self, entry: Entry, refusal: RateLimited) -> bool:
        """Count a refusal, unless it is the first of its period: that one leaves the entry itself."""
        key = (refusal.policy, entry.user_id or network_of(entry.source_ip))
        gathered = self._gathered.get(key)
        if gathered is None:
            ends_at = time.monotonic() + settings.RATE_LIMIT_ENTRY_SECONDS
            if len(self._gathered) < self._max_keys:
                self._gathered[key] = Gathered(ends_at)
                return False
            key = (refusal.policy, EVERYBODY_ELSE)
            entry = replace(entry, user_id="", user="", source_ip="", session_id="", user_agent="")
            gathered = self._gathered.setdefault(key, Gathered(ends_at))
        gathered.add(entry, refusal)
        return True

    async def tell_now_and_then(self) -> None:
        """For ever: tell of what followed a first refusal, once its period is over."""
        while True:
            await asyncio.sleep(TICK_SECONDS)
            now = time.monotonic()
            await self._tell([key for key, gathered in self._gathered.items() if gathered.ends_at <= now])

    async def tell_all(self) -> None:
        """Tell of everything, also of periods that are not over."""
        await self._tell(list(self._gathered))

    async def _tell(self, keys: list[Key]) -> None:
        """Leave the entries; what the writer does not take is kept for the next time."""
        for start in range(0, len(keys), AT_ONCE):
            told = {key: self._gathered.pop(key) for key in keys[start : start + AT_ONCE]}
            outcomes = await asyncio.gather(*map(_leave, told.values()), return_exceptions=True)
            for (key, gathered), outcome in zip(told.items(), outcomes, strict=True):
                if isinstance(outcome, BaseException):
                    log.warning("refusals of %s by the limit %s are told of later: %s", key[1], key[0], outcome)
                    self._keep(key, gathered)

    def _keep(self, key: Key, gathered: Gathered) -> None:
        later = self._gathered.setdefault(key, gathered)
        if later is not gathered:
            later.count += gathered.count
            later.first = gathered.first
            later.last = later.last or gathered.last
            later.entry = later.entry or gathered.entry
            later.refusal = later.refusal or gathered.refusal


async def _leave(gathered: Gathered) -> None:
    entry, refusal = gathered.entry, gathered.refusal
    if entry is None or refusal is None:
        return
    details: dict[str, Any] = {
        "count": gathered.count,
        "first": datetime.fromtimestamp(gathered.first, UTC).isoformat(),
        "last": datetime.fromtimestamp(gathered.last, UTC).isoformat(),
        "last_action": entry.action,
        "last_request_id": entry.request_id,
    }
    summary = replace(
        entry,
        timestamp=time.time(),
        action=ACTION,
        resource_type="limit",
        resource_id=refusal.policy,
        request_id=str(uuid7()),
        once=None,
    )
    await writer.submit(Record(entry=summary, refusal=refusal, details=details))


refused = Refused()
