"""The follower of the trail that delivers to one sink: read, format, send, move the cursor."""

import time
from collections.abc import Sequence
from dataclasses import dataclass, field

from django.utils.timezone import now

from audit_app.formats import FORMATS
from audit_app.models import DeadLetter
from audit_app.queries import entry_json
from audit_app.sinks.configuration import Target
from audit_app.sinks.kinds import receiver_of
from audit_app.sinks.receivers import EntriesRejected, Item, Receiver, ReceiverAway
from audit_app.sinks.state import Clock, Lease, Rejection, advance, entries_behind, fail, is_behind, release, take_lease

RUN_SECONDS = 2.0
PAGE = 100

IN_A_ROW = 100
"""Whoever has refused so many entries, one after the other, is no receiver of entries: it is the sink's fault."""


@dataclass(slots=True)
class Batch:
    """Entries to be sent together; or, alone, one that has no line in the sink's format."""

    items: list[Item] = field(default_factory=list)
    unreadable: Rejection | None = None


def deliver(target: Target, clock: Clock = now, seconds: float = RUN_SECONDS) -> int:
    """Deliver what waits for a sink, for so long; returns how many entries its receiver has taken.

    Does nothing while the sink is paused or rests, or while another worker delivers to it. Safe to be killed at any
    point: what was sent and not yet noted is sent again. A receiver that is away is noted in the sink's row. Raises
    django.db.DatabaseError.
    """
    lease = take_lease(target.name, clock) if is_behind(target.name) else None
    if lease is None:
        return 0
    try:
        receiver = receiver_of(target)
    except ReceiverAway as away:
        fail(lease, away.reason, clock=clock)
        return 0
    try:
        return _follow(target, lease, receiver, clock, time.monotonic() + seconds)
    finally:
        receiver.close()


def _follow(target: Target, lease: Lease, receiver: Receiver, clock: Clock, until: float) -> int:
    delivered = 0
    goes_on = True
    try:
        while goes_on:
            batch = read_batch(target, lease.cursor, 1 if lease.is_trial else target.numbers["batch"])
            if batch.unreadable is not None:
                goes_on = advance(lease, batch.unreadable.sequence, 0, batch.unreadable, clock)
            elif batch.items:
                goes_on, taken = _send(lease, receiver, batch.items, clock, until)
                delivered += taken
            else:
                goes_on = False
            goes_on = goes_on and time.monotonic() < until
    except ReceiverAway as away:
        fail(lease, away.reason, away.retry_after, clock)
    else:
        release(lease)
    return delivered


def _send(lease: Lease, receiver: Receiver, items: Sequence[Item], clock: Clock, until: float) -> tuple[bool, int]:
    """Send a batch, halving what is rejected until the entry at fault is alone: (whether to go on, how many were sent).

    The cursor follows piece by piece, in order. Raises ReceiverAway.
    """
    delivered = 0
    pieces = [items]
    goes_on = True
    while pieces and goes_on:
        piece = pieces.pop()
        last = piece[-1]
        try:
            receiver.send(piece, f"{lease.sink}-{lease.replays}-{piece[0].sequence}-{last.sequence}")
        except EntriesRejected as rejected:
            if len(piece) > 1:
                half = len(piece) // 2
                pieces += [piece[half:], piece[:half]]
                continue
            if refuses_everything(lease.sink, last.sequence):
                reason = f"it has refused {IN_A_ROW} entries in a row, and now: {rejected.reason}"
                raise ReceiverAway(reason) from rejected
            goes_on = advance(lease, last.sequence, 0, Rejection(last.sequence, last.entry.id, rejected.reason), clock)
        else:
            goes_on = advance(lease, last.sequence, len(piece), clock=clock)
            delivered += len(piece)
        goes_on = goes_on and time.monotonic() < until
    return goes_on, delivered


def refuses_everything(sink: str, sequence: int) -> bool:
    """Whether all the entries right before one are dead letters."""
    before = range(sequence - IN_A_ROW, sequence)
    return DeadLetter.objects.filter(sink=sink, sequence__in=before).count() == IN_A_ROW


def read_batch(target: Target, cursor: int, most: int) -> Batch:
    """The next entries as lines, bounded in number and in bytes; at least one, when there is one.

    Entries are read a page at a time, so memory holds no more than a batch and a page.
    """
    write = FORMATS[target.format]
    batch = Batch()
    size = 0
    while len(batch.items) < most:
        page = entries_behind(cursor, min(PAGE, most - len(batch.items)))
        for entry in page:
            try:
                line = write(entry_json(entry))
            except (TypeError, ValueError, KeyError) as error:
                # details that somebody has bent by SQL
                if not batch.items:
                    batch.unreadable = Rejection(
                        entry.sequence, entry.id, f"it has no form as {target.format}: {error}"
                    )
                return batch
            size += len(line)
            if batch.items and size > target.numbers["batch_bytes"]:
                return batch
            batch.items.append(Item(entry, line))
            cursor = entry.sequence
        if len(page) < PAGE:
            return batch
    return batch
