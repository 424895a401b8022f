"""The rows of sinks: who delivers, how far it has got, and when to try again after a failure.

A lease makes workers take turns. It runs out when its holder dies, and then somebody else delivers what that one may
have delivered already. Together with the time of the last failure it is a circuit breaker that all workers share: open
while a sink rests, half open when one worker tries one batch.

Times are those of the workers' clocks, which may step and differ. A time that seems to lie further ahead than
`SKEW_SECONDS` was written before a clock was stepped back; it binds nobody.
"""

import logging
import random
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

from django.db import router, transaction
from django.utils.timezone import now
from uuid_utils import uuid7

from audit_app.models import AuditEntry, DeadLetter, Sink
from audit_app.recovery import SINKS

log = logging.getLogger(__name__)

LEASE_SECONDS = 60.0
SKEW_SECONDS = 60.0
LONGEST_REST = 60.0

Clock = Callable[[], datetime]


@dataclass(slots=True)
class Lease:
    """The right to deliver to a sink, from `cursor` on. `is_trial`: the last attempt of all failed."""

    sink: str
    holder: str
    cursor: int
    replays: int
    is_trial: bool


@dataclass(frozen=True, slots=True)
class Rejection:
    """An entry that cannot be delivered, and why."""

    sequence: int
    entry: str
    reason: str


def is_behind(name: str) -> bool:
    """Whether there is anything to deliver to a sink; a tick that finds nothing writes nothing."""
    cursor = Sink.objects.filter(name=name).values_list("cursor", flat=True).first()
    return AuditEntry.objects.filter(sequence__gt=cursor or 0).exists()


def delivered_to_all(names: Iterable[str]) -> int | None:
    """Up to which entry every one of these sinks has got; None for no sinks, and 0 while one has never run."""
    cursors = dict(Sink.objects.values_list("name", "cursor"))
    return min((cursors.get(name, 0) for name in names), default=None)


def take_lease(name: str, clock: Clock = now) -> Lease | None:
    """The lease of a sink, whose row is made when there is none; None while it is paused, rests, or somebody has it."""
    using = router.db_for_write(Sink)
    Sink.objects.using(using).get_or_create(name=name)
    with transaction.atomic(using=using):
        sink = Sink.objects.using(using).select_for_update().get(name=name)
        at = clock()
        is_held = bool(sink.holder) and _lasts(sink.leased_at, LEASE_SECONDS, at)
        if sink.paused or is_held or _lasts(sink.failed_at, sink.rest_seconds, at):
            return None
        sink.holder = str(uuid7())
        sink.leased_at = at
        sink.save(update_fields=["holder", "leased_at"])
        return Lease(name, sink.holder, sink.cursor, sink.replays, sink.failures_in_a_row > 0)


def advance(lease: Lease, last: int, delivered: int, rejected: Rejection | None = None, clock: Clock = now) -> bool:
    """Everything up to the entry `last` was taken, or became a dead letter. Returns whether to go on.

    Changes nothing, and says no, when the lease has gone to somebody else.
    """
    using = router.db_for_write(Sink)
    with transaction.atomic(using=using):
        sink = _held(lease, using)
        if sink is None:
            return False
        at = clock()
        if sink.failures_in_a_row:
            log.warning("%s %s takes entries again, after %d failures", SINKS.name, sink.name, sink.failures_in_a_row)
        sink.cursor = lease.cursor = last
        sink.leased_at = at
        sink.failures_in_a_row = 0
        sink.failed_at = None
        if delivered:
            sink.delivered += delivered
            sink.delivered_at = at
        sink.save()
        if rejected is not None:
            _bury(sink.name, rejected, at, using)
    lease.is_trial = False
    return not sink.paused


def fail(lease: Lease, reason: str, retry_after: float | None = None, clock: Clock = now) -> None:
    """The receiver is away: give the lease back, and let the sink rest, the longer the more often it has failed."""
    using = router.db_for_write(Sink)
    with transaction.atomic(using=using):
        sink = _held(lease, using)
        if sink is None:
            return
        sink.holder = ""
        sink.failures += 1
        sink.failures_in_a_row += 1
        sink.failed_at = clock()
        sink.rest_seconds = max(rest_after(sink.failures_in_a_row), retry_after or 0.0)
        sink.last_error = storable(reason)
        sink.save()
    if sink.failures_in_a_row == 1:
        log.warning("%s %s is not available, %s meanwhile: %r", SINKS.name, sink.name, SINKS.meanwhile, reason)


def release(lease: Lease) -> None:
    """Give the lease back."""
    Sink.objects.filter(name=lease.sink, holder=lease.holder).update(holder="")


def state_of(sink: Sink, clock: Clock = now) -> str:
    """For people: paused, or what it does."""
    if sink.paused:
        return "paused"
    if not sink.failures_in_a_row:
        return "delivers"
    rests = _lasts(sink.failed_at, sink.rest_seconds, clock())
    count = sink.failures_in_a_row
    return f"{'rests' if rests else 'is tried'} after {count} failure{'' if count == 1 else 's'}"


def rest_after(failures: int) -> float:
    """Seconds of rest after so many failures in a row: doubled each time up to a minute, up to half of it at random."""
    longest = min(LONGEST_REST, SINKS.rest_seconds * 2.0 ** min(failures - 1, 16))
    return longest * random.uniform(0.5, 1.0)


def entries_behind(cursor: int, limit: int) -> Sequence[AuditEntry]:
    """The entries that come next, in the order of the trail.

    Numbers are given and committed in one order (audit_app/mover.py), so no entry appears behind a cursor that has
    passed.
    """
    return list(AuditEntry.objects.filter(sequence__gt=cursor).order_by("sequence")[:limit])


def storable(text: str) -> str:
    """A receiver's words as the database can hold them and a page can show them."""
    return "".join(letter if letter.isprintable() else " " for letter in text)[:1000]


def _lasts(since: datetime | None, seconds: float, at: datetime) -> bool:
    return since is not None and -SKEW_SECONDS < (at - since).total_seconds() < seconds


def _held(lease: Lease, using: str) -> Sink | None:
    """The row, locked, while the lease is still its holder's."""
    return Sink.objects.using(using).select_for_update().filter(name=lease.sink, holder=lease.holder).first()


def _bury(sink: str, rejected: Rejection, at: datetime, using: str) -> None:
    letter = DeadLetter(
        sink=sink, sequence=rejected.sequence, entry=rejected.entry, reason=storable(rejected.reason), at=at
    )
    DeadLetter.objects.using(using).bulk_create([letter], ignore_conflicts=True)
    log.warning("sink %s: entry %d became a dead letter: %r", sink, rejected.sequence, rejected.reason)
