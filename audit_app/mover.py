"""The mover: takes entries from the outbox (main database) to the trail (audit database), each exactly once.

No transaction spans two databases, so the order of steps makes up for it: an entry is deleted from the outbox only
after it is durable in the trail, and one that is in the trail already is not added again. Whoever dies in between
leaves an entry in both, and the next mover deletes it. Besides the writer (`audit_app/writer.py`), the mover is the
only one in the system that opens transactions: it is the writer of the audit database.

The lock on the trail's head makes movers take turns, so sequence numbers have no gap and follow the outbox's order, and
each entry can name the hash of the one before. The transaction that deletes from the outbox writes down how far the
trail has got: the witness, in the main database. It is behind the trail when a mover dies in between, and never ahead.
A trail that is not the one of which the witness tells was bent: it grows on, for entries are never lost, but the
witness is left as it is, for `audit verify` to find.
"""

import logging
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from django.db import connections, router, transaction

from audit_app.bulk import Bulk, Row, bulk, table_of
from audit_app.chain.canonical import FIELDS, ZEROS, Fields, hash_of
from audit_app.chain.rows import HASHES
from audit_app.formatter import trail_fields
from audit_app.models import AuditEntry, OutboxEntry, TrailHead, Witness

log = logging.getLogger(__name__)

BATCH = 500
MAX_BATCHES = 400

CALM_BATCHES, CALM_SECONDS = 4, 0.05
"""Between the first batches of a run the mover rests as long as the last took: where it shares a processor with those
who answer, they have half of it. Whoever has more to move than that is behind, and hurries."""

TRAIL = "trail"
ENTRIES = table_of(AuditEntry, *FIELDS, "sequence", "prev_hash", "hash")
IDS = table_of(AuditEntry, "id")
HEADS = table_of(TrailHead, "stream", "head", "hash")
OUTBOX = table_of(OutboxEntry, "id")
TESTIMONY = f"""
    INSERT INTO {Witness._meta.db_table} (stream, sequence, hash) VALUES (%s, %s, %s)
    ON CONFLICT (stream) DO UPDATE SET sequence = excluded.sequence, hash = excluded.hash
    WHERE {Witness._meta.db_table}.sequence < excluded.sequence
"""


@dataclass(frozen=True, slots=True)
class Waiting:
    """An entry as it waits in the outbox."""

    number: int
    queue: int
    text: str


@dataclass(frozen=True, slots=True)
class Head:
    """The last entry of the trail: its number, 0 for none, and its hash."""

    sequence: int
    hash: str


@dataclass(frozen=True, slots=True)
class Moved:
    """A batch that the trail has: what it was in the outbox, how many of it were new, and where the trail ends now.

    `is_bent`: the witness tells of another trail.
    """

    waiting: Sequence[Waiting]
    added: int
    head: Head
    is_bent: bool


def move_entries(batches: int = MAX_BATCHES) -> int:
    """Move what waits, at most `batches` batches of 500, and say how many entries were added to the trail.

    Safe to run at the same time on any number of workers, and again after one was killed at any point.
    Raises django.db.DatabaseError when a database does not answer; what was not moved waits on.
    """
    moved, took = 0, 0.0
    for number in range(batches):
        if not OutboxEntry.objects.exists():
            break
        if 0 < number <= CALM_BATCHES:
            # a rest and no waiting: between two batches nothing is locked, and no event loop runs in this thread
            time.sleep(min(took, CALM_SECONDS))
        began = time.monotonic()
        moved += move_batch()
        took = time.monotonic() - began
    return moved


def move_batch() -> int:
    """Move one batch; says how many entries were added to the trail.

    On PostgreSQL the batch stays locked until it is deleted, so that other movers take the next one meanwhile. SQLite
    has one lock for the whole main database: it is held for the deletion only.
    """
    outbox = router.db_for_write(OutboxEntry)
    if connections[outbox].features.has_select_for_update_skip_locked:
        with transaction.atomic(using=outbox):
            moved = add_batch()
            delete_moved(moved)
    else:
        moved = add_batch()
        with transaction.atomic(using=outbox):
            delete_moved(moved)
    return moved.added


def add_batch() -> Moved:
    """Add what waits to the trail, durably.

    On PostgreSQL the caller has a transaction open on the outbox's database, which keeps the batch locked.
    """
    audit = router.db_for_write(AuditEntry)
    connection = connections[audit]
    with transaction.atomic(using=audit), connection.wrap_database_errors:
        db = bulk(connection)
        head = _lock_head(db, audit)
        is_bent = not _is_witnessed(db, head)
        waiting = _read_batch()
        # by id: who leaves an entry twice, because nobody told that it was left, gets it into the trail once
        entries = {fields[0]: fields for fields in (trail_fields(item.queue, item.text) for item in waiting)}
        fresh = _unknown(db, entries)
        return Moved(waiting, len(fresh), _append(db, head, fresh), is_bent)


def delete_moved(moved: Moved) -> None:
    """Delete a batch that the trail has from the outbox, and write down how far the trail has got."""
    connection = connections[router.db_for_write(OutboxEntry)]
    with connection.wrap_database_errors:
        bulk(connection).delete(OUTBOX, "id", [item.number for item in moved.waiting])
    if moved.head.sequence and not moved.is_bent:
        with connection.cursor() as cursor:
            cursor.execute(TESTIMONY, [TRAIL, moved.head.sequence, moved.head.hash])


def _read_batch() -> list[Waiting]:
    using = router.db_for_write(OutboxEntry)
    rows = OutboxEntry.objects.using(using).order_by("id")
    if connections[using].features.has_select_for_update_skip_locked:
        rows = rows.select_for_update(skip_locked=True)
    return [Waiting(*row) for row in rows.values_list("id", "queue", "entry")[:BATCH]]


def _lock_head(db: Bulk, audit: str) -> Head:
    """Keep other movers out until the transaction ends; the first mover ever makes the row."""
    rows = db.select(HEADS, "stream", [TRAIL], lock=True)
    if not rows:
        last = AuditEntry.objects.using(audit).order_by("-sequence").first()
        head = Head(last.sequence, last.hash or ZEROS) if last else Head(0, ZEROS)
        made = TrailHead(stream=TRAIL, head=head.sequence, hash=head.hash)
        TrailHead.objects.using(audit).bulk_create([made], ignore_conflicts=True)
        rows = db.select(HEADS, "stream", [TRAIL], lock=True)
    ((_, sequence, hash),) = rows
    return Head(sequence, hash)


def _is_witnessed(db: Bulk, head: Head) -> bool:
    """Whether the trail, whose head is locked, is the one that the witness has seen, as far as that got."""
    witness = Witness.objects.using(router.db_for_write(Witness)).filter(stream=TRAIL).first()
    if witness is None:
        return True
    if witness.sequence >= head.sequence:
        is_same = (witness.sequence, witness.hash) == (head.sequence, head.hash)
    else:
        # an entry that is archived is not there any more
        is_same = all(hash == witness.hash for _, hash in db.select(HASHES, "sequence", [witness.sequence]))
    if not is_same:
        log.error("the trail is not what it was up to entry %d; see `audit verify`", witness.sequence)
    return is_same


def _unknown(db: Bulk, entries: Mapping[str, Fields]) -> Sequence[Fields]:
    """Those of the entries, by their ids, that the trail does not have yet."""
    known = {id for (id,) in db.select(IDS, "id", list(entries))}
    if known:
        log.info("%d entries were in the trail already", len(known))
    return [fields for id, fields in entries.items() if id not in known]


def _append(db: Bulk, head: Head, fresh: Sequence[Fields]) -> Head:
    """Number, chain and insert entries behind the head, which is locked. Returns the new head."""
    if not fresh:
        return head
    rows: list[Row] = []
    prev_hash = head.hash
    for sequence, fields in enumerate(fresh, head.sequence + 1):
        hash = hash_of(fields, sequence, prev_hash)
        rows.append((*fields, sequence, prev_hash, hash))
        prev_hash = hash
    db.insert(ENTRIES, rows)
    new = Head(head.sequence + len(rows), prev_hash)
    db.update(HEADS, "stream", [(TRAIL, new.sequence, new.hash)])
    return new
