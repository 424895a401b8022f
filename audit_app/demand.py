"""The mover on demand: when a batch's worth has come together before the next tick of beat, Celery is asked at once.

Not a message an entry: at most one in a second and process, sent by a thread of its own, so that a broker that hangs
or is away holds up nobody; the next tick moves what was not asked for. It is beat that says so when the broker is away.
"""

import contextlib
import logging
import threading
import time
from collections.abc import Callable

from kombu.exceptions import OperationalError

from audit_app.mover import BATCH

log = logging.getLogger(__name__)

PAUSE_SECONDS = 1.0


class Demand:
    """Counts entries as they are committed, and calls `ask` once there are a batch's worth.

    `ask` sends one message. It may raise OperationalError or OSError, which is what a broker that is away looks like.
    """

    def __init__(self, ask: Callable[[], object]) -> None:
        self._ask = ask
        self._waiting = 0
        self._asked_at = float("-inf")
        self._is_asking = False

    def count(self, entries: int) -> None:
        """So many entries were committed. To be called by one thread, the writer's."""
        self._waiting += entries
        now = time.monotonic()
        if self._waiting < BATCH or self._is_asking or now - self._asked_at < PAUSE_SECONDS:
            return
        self._waiting, self._asked_at, self._is_asking = 0, now, True
        threading.Thread(target=self._send, name="demand", daemon=True).start()

    def _send(self) -> None:
        try:
            with contextlib.suppress(OperationalError, OSError):
                self._ask()
        except Exception:
            log.exception("the mover could not be asked for")
        finally:
            self._is_asking = False
