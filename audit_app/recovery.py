"""What is done about failures, in one place (seed §9.2): retries, and a strategy for each part outside this process.

`audit_app/failures.py` says what an error means, `audit_app/breaker.py` keeps callers away from a part that does not
answer. docs/failures.md tells people the same, and a test holds it to `STRATEGIES`.
"""

import logging
import random
import time
from collections.abc import Iterator
from dataclasses import dataclass

from audit_app.errors import InternalError, Refusal, Unavailable
from audit_app.failures import category_of
from telemetry_app.metrics import RECOVERIES

FIRST_PAUSE = 0.005
LONGEST_PAUSE = 0.5

AT_ITS_BEAT = 0.0
"""The rest of a part that is tried at a beat of its own, twice a second."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Strategy:
    """What is done while a part is not available for one kind of work.

    `part` and `fallback` are labels of metrics, `name` and `meanwhile` say the same in the log. Calls are tried again
    for `retry_seconds` before they count as failed; the part is away from then on, and is tried every `rest_seconds`.
    """

    part: str
    name: str
    fallback: str
    meanwhile: str
    retry_seconds: float = 0.0
    rest_seconds: float = 1.0


READS = Strategy(
    part="database_reads",
    name="the database",
    fallback="refuse",
    meanwhile="reads are refused",
    retry_seconds=5.0,
    rest_seconds=0.5,
)
TRAIL_READS = Strategy(
    part="trail_reads",
    name="the audit database",
    fallback="refuse",
    meanwhile="questions to the trail are refused",
    # shorter than the main one's: nobody's work depends on it, and a scrape asks it, too
    retry_seconds=2.0,
    rest_seconds=0.5,
)
WRITES = Strategy(
    part="database_writes",
    name="the database",
    fallback="refuse",
    meanwhile="changes are refused",
    retry_seconds=10.0,
    rest_seconds=0.0,
)
UPKEEP = Strategy(
    part="database_upkeep", name="the database", fallback="wait", meanwhile="background work waits for a later tick"
)
CACHE = Strategy(
    part="cache", name="the session cache", fallback="database", meanwhile="sessions come from the database"
)
RING = Strategy(part="ring", name="the ring", fallback="poll", meanwhile="other processes' changes are polled")
POSITIONS = Strategy(
    part="positions",
    name="the exchange of positions",
    fallback="strong_read",
    meanwhile="causal reads go to the database",
    rest_seconds=AT_ITS_BEAT,
)
LIMITS = Strategy(
    part="limits",
    name="the exchange of limits",
    fallback="own_limits",
    meanwhile="each node lets through its portion of the limits",
    rest_seconds=AT_ITS_BEAT,
)
MAILBOXES = Strategy(
    part="mailboxes",
    name="the mailboxes of sessions",
    fallback="refuse",
    meanwhile="what has to cross nodes is refused",
    rest_seconds=0.5,
)
BROKER = Strategy(
    part="broker",
    name="the broker",
    fallback="wait",
    meanwhile="background work waits for a later tick",
    rest_seconds=2.0,
)
SINKS = Strategy(
    part="sinks",
    name="the receiver of sink",
    fallback="wait",
    meanwhile="entries wait in the trail",
    # the first rest; audit_app/sinks/state.py doubles it
    rest_seconds=1.0,
)
KEYS = Strategy(
    part="keys",
    name="the key provider",
    fallback="refuse",
    meanwhile="what is encrypted is readable only with the data keys at hand",
)

STRATEGIES = (READS, TRAIL_READS, WRITES, UPKEEP, CACHE, RING, POSITIONS, LIMITS, MAILBOXES, BROKER, SINKS, KEYS)

_RETRIES = RECOVERIES.labels("database", "retry")


def pauses(until: float) -> Iterator[float]:
    """Growing pauses in seconds, half fixed and half random, until a moment of the monotonic clock has come.

    For work on a database that is tried again after each pause, which is counted.
    """
    pause = FIRST_PAUSE
    left = until - time.monotonic()
    while left > 0:
        yield min(left, pause * random.uniform(0.5, 1.0))
        pause = min(pause * 2, LONGEST_PAUSE)
        left = until - time.monotonic()
        if left > 0:
            _RETRIES.inc()


def refusal_of(error: BaseException) -> Refusal:
    """What callers hear of an error: `unavailable` when the work may succeed later, else only that we failed."""
    refusal = InternalError() if category_of(error) == "fatal" else Unavailable("The database does not take it now.")
    refusal.__cause__ = error
    return refusal


def log_failure(log: logging.Logger, error: BaseException, message: str, *values: object) -> None:
    """A line for what heals by itself or by an operator; for what is fatal, and for nothing else, a traceback."""
    if category_of(error) == "fatal":
        log.error(message, *values, exc_info=error)
    else:
        log.warning(f"{message}: %s", *values, error)
