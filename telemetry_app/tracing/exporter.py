"""Bringing spans to a collector beside the work: a bounded queue, and one thread that nothing ends but `stop`.

Whoever hands something over never waits. While the collector is away the queue fills and what is new is dropped, which
is counted; a process that is forked off begins with an empty queue and no connection.
"""

import logging
import threading
import time
from collections import deque
from collections.abc import Callable

from telemetry_app.metrics import SPANS
from telemetry_app.otlp import CollectorAway, Sender, Unwanted
from telemetry_app.tracing.spans import Attributes, Finished, Span, request_of

log = logging.getLogger(__name__)

AT_ONCE = 64
"""As much is in one request: some hundred spans."""

MADE_IN_A_ROW = 8
BREATH_SECONDS = 0.0005
"""After so many the thread lets go of the interpreter: making spans is not to be felt by requests."""

PAUSE_SECONDS = 1.0
LONGEST_PAUSE_SECONDS = 30.0

SENT, DROPPED, REFUSED = (SPANS.labels(result) for result in ("sent", "dropped", "refused"))


class Exporter:
    """Has what was handed over sent by `connect()`'s sender, every `seconds` or once the queue of `room` is half full.

    `about` makes the attributes of the resource; like `connect`, it is asked in the process and thread that sends.
    """

    def __init__(
        self, connect: Callable[[], Sender], about: Callable[[], Attributes], *, room: int, seconds: float
    ) -> None:
        self._connect = connect
        self._about = about
        self._room = room
        self._seconds = seconds
        self._is_away = False
        self.begin_anew()

    def begin_anew(self) -> None:
        """Forget what waits and whoever sends it: that is for the process to do which this one was forked off from."""
        self._waiting: deque[Finished] = deque()
        self._lock = threading.Lock()
        self._wake = threading.Event()
        self._ended = threading.Event()
        self._thread: threading.Thread | None = None

    def hand(self, finished: Finished) -> None:
        """Have its spans sent some time; where too much waits already, they are dropped."""
        waiting = len(self._waiting)
        if waiting >= self._room:
            DROPPED.inc(finished.count)
            return
        self._waiting.append(finished)
        if waiting * 2 >= self._room:
            self._wake.set()
        if self._thread is None:
            self._begin()

    def stop(self, within: float) -> None:
        """Send what waits, within some seconds; what a collector does not take then is dropped.

        Something that is handed over later begins again.
        """
        with self._lock:
            thread, self._thread = self._thread, None
            ended = self._ended
        if thread is not None:
            ended.set()
            self._wake.set()
            thread.join(within)

    def _begin(self) -> None:
        with self._lock:
            if self._thread is None:
                self._ended = threading.Event()
                self._thread = threading.Thread(target=self._work, args=(self._ended,), name="traces", daemon=True)
                self._thread.start()

    # -- the thread

    def _work(self, ended: threading.Event) -> None:
        sender: Sender | None = None
        while True:
            self._wake.wait(self._seconds)
            self._wake.clear()
            is_last = ended.is_set()
            try:
                sender = sender or self._connect()
                while self._waiting:
                    self._send(sender, ended)
            except Exception:
                # whatever it is, the next spans may do better
                log.exception("spans could not be sent; going on with the next")
            if is_last:
                break
        if sender is not None:
            sender.close()

    def _send(self, sender: Sender, ended: threading.Event) -> None:
        taken = [self._waiting.popleft() for _ in range(min(len(self._waiting), AT_ONCE))]
        count = sum(finished.count for finished in taken)
        try:
            rejected = self._taken(sender, self._written(taken), ended)
        except Unwanted as unwanted:
            log.warning("the collector does not take spans: %s", unwanted)
            REFUSED.inc(count)
        except CollectorAway:
            DROPPED.inc(count)
        except Exception:
            DROPPED.inc(count)
            raise
        else:
            SENT.inc(count - rejected)
            REFUSED.inc(rejected)

    def _written(self, taken: list[Finished]) -> bytes:
        spans: list[Span] = []
        for number, finished in enumerate(taken, 1):
            spans.extend(finished.spans())
            if number % MADE_IN_A_ROW == 0:
                # nothing is waited for: requests shall have the interpreter meanwhile
                time.sleep(BREATH_SECONDS)
        made: bytes = request_of(spans, self._about()).SerializeToString()
        return made

    def _taken(self, sender: Sender, body: bytes, ended: threading.Event) -> int:
        """Have a request taken, however long that takes; returns how many spans were not. Raises what `send` raises,
        CollectorAway only at the end of the process."""
        pause = PAUSE_SECONDS
        while True:
            try:
                rejected = sender.send(body)
            except CollectorAway as away:
                if not self._is_away:
                    self._is_away = True
                    log.warning("traces wait, and are dropped once there are too many: %s", away)
                if ended.wait(pause):
                    raise
                pause = min(pause * 2, LONGEST_PAUSE_SECONDS)
            else:
                if self._is_away:
                    self._is_away = False
                    log.warning("the collector takes traces again")
                return rejected
