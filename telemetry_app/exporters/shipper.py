"""A thread that brings states to one receiver, whatever becomes of it."""

import logging
import random
import threading
from collections import deque

from telemetry_app.exporters.exporter import Exporter, PointsRejected, ReceiverAway
from telemetry_app.metrics import EXPORT_DROPPED, EXPORT_FAILURES, EXPORT_PENDING, EXPORT_POINTS, EXPORT_RESTARTS
from telemetry_app.state import State

log = logging.getLogger(__name__)

MAX_BATCHES = 6
"""What waits at most; the oldest is given up for a newer one, as what it counts is in that too."""

FIRST_PAUSE = 1.0
LONGEST_PAUSE = 60.0
JOIN_SECONDS = 0.5


class Shipper:
    """Runs an exporter from `start` to `stop`, whatever goes wrong: errors are logged and counted, and it goes on."""

    def __init__(self, exporter: Exporter) -> None:
        self._exporter = exporter
        self._waiting: deque[State] = deque()
        self._changed = threading.Condition()
        self._is_stopped = False
        self._pause = FIRST_PAUSE
        self._thread = threading.Thread(target=self._run, name=f"exporter {exporter.name}", daemon=True)
        self._delivered = EXPORT_POINTS.labels(exporter.name)
        self._dropped = EXPORT_DROPPED.labels(exporter.name)
        self._failures = EXPORT_FAILURES.labels(exporter.name)
        self._restarts = EXPORT_RESTARTS.labels(exporter.name)
        self._pending = EXPORT_PENDING.labels(exporter.name)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """Send nothing more; what waits is given up. Who hangs in a send is left behind."""
        with self._changed:
            self._is_stopped = True
            self._waiting.clear()
            self._pending.set(0)
            self._changed.notify()
        self._thread.join(JOIN_SECONDS)

    def put(self, state: State) -> None:
        """Have a state sent after those that wait. Returns at once."""
        with self._changed:
            if len(self._waiting) == MAX_BATCHES:
                self._dropped.inc(self._exporter.points(self._waiting.popleft()))
            self._waiting.append(state)
            self._pending.set(len(self._waiting))
            self._changed.notify()

    def _run(self) -> None:
        while not self._is_stopped:
            try:
                self._ship()
            except Exception:
                self._restarts.inc()
                log.exception("exporter %s failed; it is started again", self._exporter.name)
                self._rest(FIRST_PAUSE)
        self._exporter.close()

    def _ship(self) -> None:
        state = self._next()
        if state is None:
            return
        try:
            self._exporter.export(state)
        except ReceiverAway as away:
            self._failures.inc()
            if self._pause == FIRST_PAUSE:
                log.warning("the receiver of %s metrics does not take them, they wait: %s", self._exporter.name, away)
            self._rest(max(away.after or 0.0, self._pause * random.uniform(0.5, 1.0)))
            self._pause = min(self._pause * 2, LONGEST_PAUSE)
            return
        except PointsRejected as rejected:
            self._failures.inc()
            self._dropped.inc(rejected.points)
            self._delivered.inc(self._exporter.points(state) - rejected.points)
            log.warning("the receiver of %s metrics refused %d: %s", self._exporter.name, rejected.points, rejected)
        else:
            self._delivered.inc(self._exporter.points(state))
            if self._pause > FIRST_PAUSE:
                log.warning("the receiver of %s metrics takes them again", self._exporter.name)
        self._pause = FIRST_PAUSE
        self._done(state)

    def _next(self) -> State | None:
        """The oldest state that waits, once there is one; None when it is over."""
        with self._changed:
            self._changed.wait_for(lambda: self._waiting or self._is_stopped)
            return self._waiting[0] if self._waiting else None

    def _done(self, state: State) -> None:
        with self._changed:
            # it may have been given up while it was sent
            if self._waiting and self._waiting[0] is state:
                self._waiting.popleft()
                self._pending.set(len(self._waiting))

    def _rest(self, seconds: float) -> None:
        with self._changed:
            self._changed.wait_for(lambda: self._is_stopped, seconds)
