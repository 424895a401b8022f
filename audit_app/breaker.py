"""Circuit breakers: a part that does not answer is left alone for a while, so that its timeouts hold nobody up.

Not pybreaker, which was looked at (1.4.1): it holds its lock while the call runs, so calls of several threads would
take turns, it knows coroutines by Tornado only, and it times its rests by the wall clock. `circuitbreaker` (2.1.3)
lets everybody through once the rest is over.
"""

import logging
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from audit_app.errors import Unavailable
from audit_app.recovery import Strategy
from telemetry_app.metrics import BREAKER_OPEN, RECOVERIES

log = logging.getLogger(__name__)


class PartAway(Unavailable):
    """A part of the system is not available now."""


class Breaker:
    """Guards the calls of one part, from any thread or event loop of this process.

    Closed, everybody may call. The first failure opens it: each part has a fallback that is right, so there is nothing
    to gain by insisting. Open, nobody may, for the part's `rest_seconds`; then one caller at a time tries, and its
    success closes it. `counts` tells which errors are failures of the part; with any other, it has answered.
    """

    def __init__(self, strategy: Strategy, counts: Callable[[Exception], bool]) -> None:
        self._strategy = strategy
        self._counts = counts
        self._lock = threading.Lock()
        self._failed_at: float | None = None
        self._opened_at = 0.0
        self._is_tried = False
        self._gauge = BREAKER_OPEN.labels(strategy.part)
        self._gauge.set(0)
        self._fallbacks = RECOVERIES.labels(strategy.part, strategy.fallback)

    @property
    def is_open(self) -> bool:
        """Whether the part is away, as far as is known; also while somebody tries it."""
        return self._failed_at is not None

    @contextmanager
    def guard(self) -> Iterator[None]:
        """Around one call of the part. Raises PartAway in place of its failures, and at once while it is left alone."""
        is_trial = self._enter()
        try:
            yield
        except Exception as error:
            if not self._counts(error):
                self._answered(is_trial)
                raise
            self._failed(error, is_trial)
            raise self._away() from error
        except BaseException:
            # cancelled: nothing is known, and the next caller tries
            if is_trial:
                self._is_tried = False
            raise
        self._answered(is_trial)

    def _enter(self) -> bool:
        """Whether the call that begins is a trial. Raises PartAway when there may be none."""
        if self._failed_at is None:
            return False
        with self._lock:
            if self._failed_at is None:
                return False
            if self._is_tried or time.monotonic() - self._failed_at < self._strategy.rest_seconds:
                raise self._away()
            self._is_tried = True
            return True

    def _failed(self, error: Exception, is_trial: bool) -> None:
        with self._lock:
            opens = self._failed_at is None
            if opens or is_trial:
                self._failed_at = time.monotonic()
            if is_trial:
                self._is_tried = False
            if opens:
                self._opened_at = time.monotonic()
                self._gauge.set(1)
        if opens:
            why = str(error) or type(error).__name__
            strategy = self._strategy
            log.warning("%s is not available, %s meanwhile: %s", strategy.name, strategy.meanwhile, why)

    def _answered(self, is_trial: bool) -> None:
        if not is_trial:
            return
        with self._lock:
            self._failed_at = None
            self._is_tried = False
            self._gauge.set(0)
        log.warning("%s is available again, after %.1f s", self._strategy.name, time.monotonic() - self._opened_at)

    def _away(self) -> PartAway:
        self._fallbacks.inc()
        return PartAway(f"{self._strategy.name.capitalize()} is not available.")
