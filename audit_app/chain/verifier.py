"""Verifying for callers of the API, beside everything else that a process does.

The hashing holds Python's lock, so a verification goes in steps of a millisecond or less, and rests after each: what
waits for the lock, the event loop first of all, gets it then.
"""

import asyncio
import logging
import threading
import time
from concurrent.futures import ThreadPoolExecutor

from django.db import close_old_connections

from audit_app.chain.verify import Report, verify
from audit_app.database import in_trail
from audit_app.errors import InternalError
from audit_app.queries import trail_head

log = logging.getLogger(__name__)

STEP = 100
"""So many entries are a step."""

REST_SECONDS = 0.0001
"""More than nothing: Python's lock is given back to whoever has just let go of it, unless that sleeps."""


class Stopped(Exception):
    """Nobody waits for this verification any more."""


class Verifier:
    """One thread, which verifies one thing at a time; whoever comes meanwhile waits for it."""

    def __init__(self) -> None:
        self._executor = ThreadPoolExecutor(1, thread_name_prefix="verifier")

    async def run(self, start: int, until: int | None) -> Report:
        """Verify a part of the trail, or all of it from `start` on (see `verify`), until the caller is cancelled.

        Raises PartAway when the audit database does not answer, django.db.DatabaseError, and InternalError when what
        the verification needs beside the databases cannot be read.
        """
        # whether the database is there, by those who know; this thread has no breaker of its own
        await in_trail(trail_head)
        stop = threading.Event()
        try:
            return await asyncio.get_running_loop().run_in_executor(self._executor, _verify, start, until, stop)
        finally:
            stop.set()


def _verify(start: int, until: int | None, stop: threading.Event) -> Report:
    def rest(done: int, total: int) -> None:
        if stop.is_set():
            raise Stopped
        # the event loop gets its turn between two steps
        time.sleep(REST_SECONDS)

    try:
        return verify(start=start, until=until, progress=rest, portion_size=STEP)
    except (OSError, ValueError, TypeError) as error:
        # of the last two, what somebody has put where SQLite should have a number
        log.error("the trail could not be verified: %s", error)
        raise InternalError("The trail could not be verified; the log says why.") from error
    finally:
        close_old_connections()


verifier = Verifier()
