"""The mover: takes entries from the outbox (main database) to the trail (audit database), each exactly once.

No transaction spans two databases, so the order of steps makes up for it: an entry is deleted from the outbox only
after it is durable in the trail, and one that is in the trail already is not added again. Whoever dies in between
leaves an entry in both, and the next mover deletes it. Besides the writer (`audit_app/writer.py`), the mover is the
only one in the system that opens transactions: it is the writer of the audit database.

The lock on the trail's head makes movers take turns, so sequence numbers have no gap and follow the outbox's order.
"""

import logging
from collections.abc import Sequence
from dataclasses import dataclass

from django.db import connections, router, transaction
from django.db.models import Max

from audit_app.bulk import Bulk, Row, bulk, table_of
from audit_app.formatter import COLUMNS, trail_row
from audit_app.models import AuditEntry, OutboxEntry, TrailHead

log = logging.getLogger(__name__)

BATCH = 500
MAX_BATCHES = 400

TRAIL = "trail"
ENTRIES = table_of(AuditEntry, *COLUMNS)
IDS = table_of(AuditEntry, "id")
HEADS = table_of(TrailHead, "stream", "head")
OUTBOX = table_of(OutboxEntry, "id")


@dataclass(frozen=True, slots=True)
class Waiting:
    """An entry as it waits in the outbox."""

    number: int
    queue: int
    text: str


def move_entries(batches: int = MAX_BATCHES) -> int:
    """Move what waits, at most `batches` batches of 500, and say how many entries were added to the trail.

    Safe to run at the same time on any number of workers, and again after one was killed at any point.
    Raises django.db.DatabaseError when a database does not answer; what was not moved waits on.
    """
    moved = 0
    for _ in range(batches):
        if not OutboxEntry.objects.exists():
            break
        moved += move_batch()
    return moved


def move_batch() -> int:
    """Move one batch; says how many entries were added to the trail.

    On PostgreSQL the batch stays locked until it is deleted, so that other movers take the next one meanwhile. SQLite
    has one lock for the whole main database: it is held for the deletion only.
    """
    outbox = router.db_for_write(OutboxEntry)
    if connections[outbox].features.has_select_for_update_skip_locked:
        with transaction.atomic(using=outbox):
            waiting, added = add_batch()
            delete_moved(waiting)
    else:
        waiting, added = add_batch()
        with transaction.atomic(using=outbox):
            delete_moved(waiting)
    return added


def add_batch() -> tuple[list[Waiting], int]:
    """Add what waits to the trail, durably: the batch that was read, and how many of it were new.

    On PostgreSQL the caller has a transaction open on the outbox's database, which keeps the batch locked.
    """
    audit = router.db_for_write(AuditEntry)
    connection = connections[audit]
    with transaction.atomic(using=audit), connection.wrap_database_errors:
        db = bulk(connection)
        _lock_head(db, audit)
        waiting = _read_batch()
        rows = [trail_row(item.queue, item.text) for item in waiting]
        return waiting, _append(db, rows)


def delete_moved(waiting: Sequence[Waiting]) -> None:
    """Delete a batch that the trail has from the outbox."""
    connection = connections[router.db_for_write(OutboxEntry)]
    with connection.wrap_database_errors:
        bulk(connection).delete(OUTBOX, "id", [item.number for item in waiting])


def _read_batch() -> list[Waiting]:
    using = router.db_for_write(OutboxEntry)
    rows = OutboxEntry.objects.using(using).order_by("id")
    if connections[using].features.has_select_for_update_skip_locked:
        rows = rows.select_for_update(skip_locked=True)
    return [Waiting(*row) for row in rows.values_list("id", "queue", "entry")[:BATCH]]


def _lock_head(db: Bulk, audit: str) -> None:
    """Keep other movers out until the transaction ends; the first mover ever makes the row."""
    if not db.select(HEADS, "stream", [TRAIL], lock=True):
        last = AuditEntry.objects.using(audit).aggregate(last=Max("sequence"))["last"] or 0
        TrailHead.objects.using(audit).bulk_create([TrailHead(stream=TRAIL, head=last)], ignore_conflicts=True)
        db.select(HEADS, "stream", [TRAIL], lock=True)


def _append(db: Bulk, rows: Sequence[Row]) -> int:
    """Number and insert the rows that the trail does not have yet; the head is locked."""
    known = {id for (id,) in db.select(IDS, "id", [row[0] for row in rows])}
    fresh = [row for row in rows if row[0] not in known]
    if known:
        log.info("%d entries were in the trail already", len(known))
    if fresh:
        head = db.advance(HEADS.name, TRAIL, len(fresh))
        first = head - len(fresh) + 1
        db.insert(ENTRIES, [(*row, sequence) for sequence, row in enumerate(fresh, first)])
    return len(fresh)
