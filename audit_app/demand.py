"""The mover on demand: when a batch's worth has come together before the next tick of beat, Celery is asked at once.

Not a message an entry: at most one in a second and process, sent by a thread of its own, so that a broker that hangs
or is away holds up nobody; the next tick moves what was not asked for. It is beat that says so when the broker is away.
The thread is kept: Celery sets itself up anew in each that sends, which takes 6 ms, and the event loop waits meanwhile.
"""

import contextlib
import logging
import threading
import time
from collections.abc import Callable
from queue import SimpleQueue

from kombu.exceptions import OperationalError

from audit_app.mover import BATCH
from telemetry_app.tracing.context import TraceContext, current

log = logging.getLogger(__name__)

PAUSE_SECONDS = 1.0


class Demand:
    """Counts entries as they are committed, and calls `ask` once there are a batch's worth.

    `ask` sends one message, in the trace of the batch with which there were enough. It may raise OperationalError or
    OSError, which is what a broker that is away looks like.
    `is_asking`: one is on its way.
    """

    def __init__(self, ask: Callable[[], object]) -> None:
        self._ask = ask
        self._waiting = 0
        self._asked_at = float("-inf")
        self.is_asking = False
        self._turns: SimpleQueue[TraceContext | None] = SimpleQueue()
        self._thread: threading.Thread | None = None

    def count(self, entries: int) -> None:
        """So many entries were committed. To be called by one thread, the writer's."""
        self._waiting += entries
        now = time.monotonic()
        if self._waiting < BATCH or self.is_asking or now - self._asked_at < PAUSE_SECONDS:
            return
        self._waiting, self._asked_at, self.is_asking = 0, now, True
        self._turns.put(current.get())
        if self._thread is None:
            self._thread = threading.Thread(target=self._work, name="demand", daemon=True)
            self._thread.start()

    def _work(self) -> None:
        while True:
            current.set(self._turns.get())
            self._send()

    def _send(self) -> None:
        try:
            with contextlib.suppress(OperationalError, OSError):
                self._ask()
        except Exception:
            log.exception("the mover could not be asked for")
        finally:
            self.is_asking = False
