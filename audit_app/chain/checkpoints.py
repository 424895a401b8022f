"""Making checkpoints: signed statements on what the trail holds, each naming the one before.

Nothing is locked. What a checkpoint covers is committed and never changes; of two workers that make the same one, the
one that inserts first has made it.
"""

import logging
from collections.abc import Iterator
from datetime import UTC, datetime

from django.conf import settings

from audit_app.chain.keys import Signer, local_signer
from audit_app.chain.merkle import root_of
from audit_app.chain.rows import HASHES, portions
from audit_app.chain.second_place import SecondPlace
from audit_app.chain.statements import START, Anchor, Signed, Statement, parse_payload
from audit_app.chain.trust import make_known
from audit_app.commands import Record
from audit_app.models import AuditEntry, Checkpoint, TrailHead
from audit_app.system import system_entry
from audit_app.writer import writer

log = logging.getLogger(__name__)

ACTION = "audit/checkpoint"
NOT_A_HASH = bytes(32)
"""The leaf of an entry whose hash is none: somebody was there, which verification will tell."""


def sign_trail() -> Signed | None:
    """Make a checkpoint of what none covers yet, durably, in both places, and leave an entry that tells of it.

    Returns None when there is nothing new but the entries that tell of checkpoints, or when another process was
    faster. Whoever dies in between leaves the rest to the next one, so an entry may tell of a checkpoint twice.
    A second place that cannot be written gets what it lacks later; that is logged each time. Raises
    django.db.DatabaseError, Refusal when the writer cannot take the entry, OSError when the key is not to be had, and
    Malformed when somebody has changed the last checkpoint.
    """
    signer = local_signer(settings.AUDIT_SIGNING_KEY_FILE)
    last = Checkpoint.objects.order_by("-number").first()
    anchor = Anchor.at(parse_payload(last.payload)) if last else START
    head = TrailHead.objects.first()
    signed = None
    if head is not None and _has_news(anchor.last, head.head):
        if last and not is_told_of(last.number):
            tell(Signed(parse_payload(last.payload), last.signature))
        signed = _store(_state(anchor, head, signer), signer)
    _copy(signer)
    if signed is not None:
        tell(signed)
    return signed


def tell(signed: Signed) -> None:
    """Leave an entry with the checkpoint, which takes it to every sink."""
    entry = system_entry(ACTION, "audit", resource_id(signed.statement.number))
    writer.run(Record(entry=entry, details=signed.as_json()))


def is_told_of(number: int) -> bool:
    """Whether the trail has an entry that tells of the checkpoint."""
    return AuditEntry.objects.filter(resource_id=resource_id(number), action=ACTION).exists()


def resource_id(number: int) -> str:
    return f"checkpoint/{number}"


def leaves(first: int, last: int) -> Iterator[bytes]:
    """The leaves of the tree over the entries from `first` to `last`: their hashes, as bytes."""
    for portion in portions(HASHES, first - 1, last):
        for _, hash in portion:
            yield leaf_of(hash)


def leaf_of(hash: object) -> bytes:
    try:
        leaf = bytes.fromhex(hash) if isinstance(hash, str) else NOT_A_HASH
    except ValueError:
        return NOT_A_HASH
    return leaf if len(leaf) == len(NOT_A_HASH) else NOT_A_HASH


def _copy(signer: Signer) -> None:
    second = SecondPlace(settings.AUDIT_CHECKPOINT_FILE)
    try:
        second.remember(signer)
        second.follow()
    except OSError as error:
        log.error("checkpoints do not reach their second place: %s", error)


def _has_news(after: int, until: int) -> bool:
    entries = AuditEntry.objects.filter(sequence__gt=after, sequence__lte=until)
    return entries.exclude(action=ACTION, outcome="success").exists()


def _state(anchor: Anchor, head: TrailHead, signer: Signer) -> Statement:
    return Statement(
        origin=settings.ERLMCP_SOURCE,
        number=anchor.number + 1,
        first=anchor.last + 1,
        last=head.head,
        root=root_of(leaves(anchor.last + 1, head.head)).hex(),
        head=head.hash,
        at=datetime.now(UTC).isoformat(),
        previous=anchor.digest,
        key=signer.id,
    )


def _store(statement: Statement, signer: Signer) -> Signed | None:
    """Keep the signed statement and its key; None when another process has kept one under this number."""
    payload = statement.payload
    make_known(signer)
    made = Checkpoint(
        number=statement.number,
        first=statement.first,
        last=statement.last,
        payload=payload.decode(),
        signature=signer.sign(payload),
    )
    Checkpoint.objects.bulk_create([made], ignore_conflicts=True)
    kept = Checkpoint.objects.filter(number=statement.number, payload=made.payload).exists()
    return Signed(statement, made.signature) if kept else None
