"""How fast a process takes in sockets and streams: a crowd that comes at once must not be felt by those who are here.

Who comes faster than ADMIT_STREAMS waits for a turn, in the order of arrival. A client whose turn is further away than
it would wait is refused at once, before anything has been done for it, and told when to come back.
"""

import asyncio
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from django.conf import settings

from erlmcp_site.transports.pacing import Pace
from sessions_app.errors import Crowded

POLICY = "connects"
"""What refusals and their entries call it."""

WAIT_SECONDS = 5.0
BURST_SECONDS = 0.1

AT_ONCE = 256
"""Of those whose turn has come, how many are authenticated at a time: more only wait for the same database."""

RETRY_MS_LEAST = 500


class Admission:
    """The turns of one process."""

    def __init__(self) -> None:
        self._pace: Pace | None = None
        self._entering = 0

    @asynccontextmanager
    async def turn(self) -> AsyncIterator[None]:
        """Around what is done to let a client in. Raises Crowded."""
        loop = asyncio.get_running_loop()
        if self._pace is None:
            rate = per_second()
            self._pace = Pace(rate, max(1.0, rate * BURST_SECONDS))
        wait = self._pace.take(loop.time(), most=WAIT_SECONDS)
        if wait > WAIT_SECONDS:
            raise self._crowded()
        if wait:
            await asyncio.sleep(wait)
        if self._entering >= AT_ONCE:
            raise self._crowded()
        self._entering += 1
        try:
            yield
        finally:
            self._entering -= 1

    def forget(self) -> None:
        """Nobody has come yet."""
        self._pace = None

    def retry_ms(self, count: int) -> int:
        """When one of so many clients is to come back: each at another time, and together no faster than they are let
        in."""
        return RETRY_MS_LEAST + random.randrange(max(RETRY_MS_LEAST, round(count * 1000 / per_second())))

    @staticmethod
    def _crowded() -> Crowded:
        # those who wait fill the next WAIT_SECONDS
        return Crowded(retry_after=round(random.uniform(WAIT_SECONDS / 2, 2 * WAIT_SECONDS), 3), policy=POLICY)


def per_second() -> float:
    rate = settings.ADMIT_STREAMS
    return float(rate.amount / rate.seconds)


admission = Admission()
