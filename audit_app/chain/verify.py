"""Verifying the trail: every entry, every link, every checkpoint, and that nothing is cut off.

What speaks of the trail is read before it: the second place, then the checkpoints, the witness, the trail's head, and
at last the entries, up to that head. So what comes to the trail meanwhile is never taken for bending. Nothing is
locked, and no more than a portion of the entries is in memory.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from django.conf import settings
from django.db.models import Count, Max, Min, Subquery

from audit_app.chain.archiving import archived_until
from audit_app.chain.bending import Bent
from audit_app.chain.keys import PublicKeys
from audit_app.chain.rows import PORTION
from audit_app.chain.second_place import SecondPlace
from audit_app.chain.statement_chain import anchor_at, checked_statements
from audit_app.chain.statements import START, Anchor
from audit_app.chain.trust import Keyring
from audit_app.chain.walk import Progress, Walk
from audit_app.models import AuditEntry, Checkpoint, OutboxEntry, TrailHead, Witness


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """What was verified, and the first thing that is not in order.

    `first` and `last` bound the entries that were to be looked at; `entries` of them were found good, with
    `checkpoints` checkpoints, those of archived entries included. `unsigned` counts the entries behind the last
    checkpoint, for which nobody has signed yet; `archived` is the last entry that has left for the archive. `keys` says
    where each key that signed was found. `anchor` is the last checkpoint that is in order.
    """

    first: int
    last: int
    entries: int
    checkpoints: int
    unsigned: int
    archived: int
    keys: Mapping[str, str]
    anchor: Anchor
    bent: Bent | None

    def as_json(self) -> Mapping[str, Any]:
        found: dict[str, Any] = {}
        if self.bent:
            found = {"sequence": self.bent.sequence, "kind": self.bent.kind, "why": self.bent.why}
        return {
            "ok": self.bent is None,
            **found,
            "first": self.first,
            "last": self.last,
            "entries": self.entries,
            "checkpoints": self.checkpoints,
            "unsigned": self.unsigned,
            "archived": self.archived,
            "keys": dict(self.keys),
        }


def verify(
    *,
    start: int = 1,
    until: int | None = None,
    since: Anchor = START,
    pinned: PublicKeys | None = None,
    progress: Progress | None = None,
    portion_size: int = PORTION,
) -> Report:
    """Verify the trail, or the part of it from `start` to `until`, or what came after a checkpoint that was verified.

    A part is widened to whole checkpoints: only those can be compared with what was signed. With `pinned` keys no other
    key is believed. What leaves for the archive meanwhile is not missed: verification begins again behind it. Entries
    are read `portion_size` at a time; `progress` is told of each portion, and what it raises ends all. Raises
    django.db.DatabaseError, OSError when the second place cannot be read, and ValueError when the file with this
    machine's keys holds none.
    """
    while True:
        begins = _first_stored(1)
        report = _verify(start, until, since, pinned, progress, portion_size)
        if report.bent is None or _first_stored(1) <= begins:
            return report


def _verify(
    start: int,
    until: int | None,
    since: Anchor,
    pinned: PublicKeys | None,
    progress: Progress | None,
    portion_size: int,
) -> Report:
    second = SecondPlace(settings.AUDIT_CHECKPOINT_FILE)
    keys = Keyring(second, pinned)
    size = second.size()
    last = _end_of_checkpoint(until) if until else None
    wanted = Checkpoint.objects.filter(last__lte=last) if last else Checkpoint.objects.all()
    newest = wanted.aggregate(newest=Max("number"))["newest"] or 0
    witness = Witness.objects.first()
    head = TrailHead.objects.first() or TrailHead(head=0)
    last = head.head if last is None else min(last, head.head)
    walk = Walk(witness)
    bent = None
    archived = 0
    try:
        anchor = since if since != START else _anchor_before(start, keys)
        begin = anchor.last + 1
        stored = _first_stored(begin)
        if begin < stored <= archived_until(keys) + 1:
            begin = stored
        walk.begin(anchor, checked_statements(anchor, newest, second, size, keys), begin, progress)
        archived = walk.first - 1 if walk.first != anchor.last + 1 else 0
        walk.go(last, progress, portion_size)
        if until is None:
            walk.end()
            _look_beyond(walk, head, witness)
    except Bent as found:
        bent = found
    return Report(
        first=walk.first,
        last=last,
        entries=walk.sequence - walk.first + 1,
        checkpoints=walk.checkpoints,
        unsigned=max(0, last - walk.anchor.last),
        archived=archived,
        keys=keys.sources,
        anchor=walk.anchor,
        bent=bent,
    )


def _anchor_before(start: int, keys: Keyring) -> Anchor:
    before = Checkpoint.objects.filter(last__lt=start).order_by("-last").first()
    return anchor_at(before, keys) if before else START


def _end_of_checkpoint(until: int) -> int:
    around = Checkpoint.objects.filter(last__gte=until).order_by("last").first()
    return around.last if around else until


def _first_stored(after: int) -> int:
    return AuditEntry.objects.filter(sequence__gte=after).aggregate(first=Min("sequence"))["first"] or after


def _look_beyond(walk: Walk, head: TrailHead, witness: Witness | None) -> None:
    """The walk has ended where the trail does, and there is nothing else. Raises Bent."""
    if head.hash != walk.hash:
        raise Bent(max(1, walk.sequence), "head", "the head of the trail has another hash than the last entry")
    if witness is not None and witness.sequence > walk.sequence:
        what = f"the entries from {walk.sequence + 1} to {witness.sequence}, which the main database remembers"
        raise Bent(walk.sequence + 1, "missing", f"{what}, are missing")
    if witness is None and walk.tells and not OutboxEntry.objects.exists() and not Witness.objects.exists():
        raise Bent(max(1, walk.sequence), "witness", "the main database does not remember the trail any more")
    for stray in _strays(walk):
        if stray is not None:
            # SQLite lets anybody put text where a number should be
            at = stray if isinstance(stray, int) else walk.sequence + 1
            raise Bent(at, "surplus", f"an entry stands at {stray} where none can be")
    if AuditEntry.objects.exists() and not TrailHead.objects.exists():
        raise Bent(1, "head", "the head of the trail is gone")


def _strays(walk: Walk) -> Iterator[Any]:
    """Numbers of entries before the first that can be, and behind the head, and of one that stands there twice."""
    yield AuditEntry.objects.filter(sequence__lt=1).aggregate(stray=Min("sequence"))["stray"]
    head = Subquery(TrailHead.objects.values("head")[:1])
    yield AuditEntry.objects.filter(sequence__gt=head).aggregate(stray=Min("sequence"))["stray"]
    walked = AuditEntry.objects.filter(sequence__gte=walk.first, sequence__lte=walk.sequence)
    if walked.count() != walk.sequence - walk.first + 1:
        twice = walked.values("sequence").annotate(times=Count("id")).filter(times__gt=1).order_by("sequence")
        yield twice.values_list("sequence", flat=True).first()
