"""Retention: old entries leave the trail for archives, whole checkpoints at a time, which themselves stay.

The order of steps makes up for a death between any two of them: an archive is durable and checked against what was
signed before an entry tells of it, that entry is in the trail before anything is deleted, and whatever was told of is
deleted by the next one who comes, who checks the archive again. Besides the mover, this is the only one in the system
that writes to the trail's table.
"""

import fcntl
import logging
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import orjson
from django.conf import settings
from django.db import connections, router, transaction
from django.db.models import Min

from audit_app.archives import Span, check_archive, digest_of, write_archive
from audit_app.chain.archiving import ACTION, archived_until, leave_to_archive
from audit_app.chain.bending import Bent
from audit_app.chain.second_place import SecondPlace
from audit_app.chain.statements import Malformed, parse_payload
from audit_app.chain.trust import Keyring
from audit_app.commands import Record
from audit_app.models import AuditEntry, Checkpoint
from audit_app.mover import move_entries
from audit_app.recovery import pauses
from audit_app.sinks.state import delivered_to_all
from audit_app.system import system_entry
from audit_app.writer import writer

log = logging.getLogger(__name__)

MOST_ENTRIES = 1_000_000
"""An archive has no more entries than this, unless a single checkpoint has."""
STEP = 1000
MOVE_SECONDS = 60.0

NOTHING: Mapping[str, Any] = {}

DELETION = "DELETE FROM audit_app_auditentry WHERE sequence >= %s AND sequence <= %s"


class ArchiveFailed(Exception):
    """Entries stay where they are; the message says why."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Archived:
    """What has left the trail, and the file that has it."""

    span: Span
    path: Path


def archivable(before: datetime) -> Iterator[Span]:
    """The spans that may leave the trail: of checkpoints made before a moment, and delivered to every sink.

    The entries themselves are older than that moment. Raises ArchiveFailed for a checkpoint that is none.
    """
    most = delivered_to_all(settings.AUDIT_SINKS)
    first = _first_stored()
    last = first - 1 if first is not None else 0
    for checkpoint in Checkpoint.objects.filter(first__gte=first or 1).order_by("number").iterator():
        if first is None or not _is_before(checkpoint, before) or (most is not None and checkpoint.last > most):
            break
        if last >= first and checkpoint.last - first >= MOST_ENTRIES:
            yield Span(first, last)
            first = last + 1
        last = checkpoint.last
    if first is not None and last >= first:
        yield Span(first, last)


def archive_old(before: datetime, folder: Path, told: Mapping[str, Any] = NOTHING) -> Iterator[Archived]:
    """Archive what was signed before a moment, file by file, finishing first what somebody has begun.

    Each leaves an entry, with what else is `told` in its details. Safe to be run again after it was killed at any
    point, and anywhere else at the same time. Raises ArchiveFailed, OSError, django.db.DatabaseError,
    ImproperlyConfigured when there is no signing key, and Refusal when the writer cannot take the entry; nothing is
    deleted then that is not in a file.
    """
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    with _alone_in(folder):
        move_entries()
        begun = _begun()
        if begun is not None:
            yield finish(begun)
        for span in list(archivable(before)):
            archived = prepare(span, folder)
            tell(archived, told)
            yield finish(archived)


def prepare(span: Span, folder: Path) -> Archived:
    """Have an archive of the span, or of its beginning when somebody died who had written that."""
    for path in folder.glob(f"trail-{span.first}-*.jsonl.gz"):
        written = Span.of(path.name)
        if written is not None and written.last <= span.last and _is_in_order(path):
            return Archived(span=written, path=path)
    path = folder / span.name
    with _explained(path):
        write_archive(path, span)
    return Archived(span=span, path=path)


def tell(archived: Archived, told: Mapping[str, Any]) -> None:
    """Leave the entry that tells of an archive, and see that it reaches the trail."""
    span, path = archived.span, archived.path
    entry = system_entry(ACTION, "audit", span.name)
    details = {"first": span.first, "entries": span.entries, "file": str(path.absolute()), "sha256": digest_of(path)}
    writer.run(Record(entry=entry, details={**details, **leave_to_archive(span.last), **told}))
    telling = AuditEntry.objects.filter(resource_id=span.name, action=ACTION, outcome="success")
    for pause in pauses(time.monotonic() + MOVE_SECONDS):
        move_entries()
        if telling.exists():
            return
        # another mover has it in hand, and says nothing when it is done; bounded, and with jitter: see pauses
        time.sleep(pause)
    raise ArchiveFailed(f"{path} is written, but the entry that tells of it does not reach the trail.")


def finish(archived: Archived) -> Archived:
    """Delete what an archive has, checkpoint by checkpoint from the oldest on, so the trail is in order meanwhile."""
    span, path = archived.span, archived.path
    with _explained(path):
        check_archive(path)
    first = span.first
    rows = Checkpoint.objects.filter(first__gte=span.first, last__lte=span.last).order_by("number")
    for last in rows.values_list("last", flat=True):
        if last - first + 1 >= STEP or last == span.last:
            delete(first, last)
            first = last + 1
    log.info("the entries from %d to %d have left the trail for %s", span.first, span.last, path)
    return archived


def delete(first: int, last: int) -> None:
    """Delete entries that an archive has."""
    using = router.db_for_write(AuditEntry)
    with transaction.atomic(using=using), connections[using].cursor() as cursor:
        cursor.execute(DELETION, [first, last])


def _begun() -> Archived | None:
    """What an entry gives leave to delete, and is not, or not wholly, deleted yet."""
    first = _first_stored()
    until = archived_until(Keyring(SecondPlace(settings.AUDIT_CHECKPOINT_FILE)))
    if first is None or until < first:
        return None
    told = AuditEntry.objects.filter(action=ACTION, outcome="success").order_by("-sequence")
    for text in told.values_list("details", flat=True).iterator():
        details = orjson.loads(text)
        if "file" in details and details["leave"]["archived_until"] == until:
            return Archived(span=Span(details["first"], until), path=Path(details["file"]))
    return None


def _first_stored() -> int | None:
    first: int | None = AuditEntry.objects.aggregate(first=Min("sequence"))["first"]
    return first


def _is_before(checkpoint: Checkpoint, moment: datetime) -> bool:
    try:
        return datetime.fromisoformat(parse_payload(checkpoint.payload).at) < moment
    except (Malformed, ValueError, TypeError) as error:
        raise ArchiveFailed(f"Checkpoint {checkpoint.number} is not in order: {error}. See `audit verify`.") from None


def _is_in_order(path: Path) -> bool:
    try:
        check_archive(path)
    except (Bent, OSError, ValueError):
        return False
    return True


@contextmanager
def _explained(path: Path) -> Iterator[None]:
    """What is wrong with an archive, as ArchiveFailed."""
    try:
        yield
    except Bent as bent:
        raise ArchiveFailed(f"{path} is not what was signed, from entry {bent.sequence} on: {bent.why}.") from bent
    except ValueError as error:
        raise ArchiveFailed(f"{path}: {error}.") from error


@contextmanager
def _alone_in(folder: Path) -> Iterator[None]:
    """Nobody else archives to this folder meanwhile."""
    with (folder / ".lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
