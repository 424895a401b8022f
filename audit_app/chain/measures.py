"""Whether the trail is what the main database remembers of it, and how far it is signed, as metrics."""

from django.db.models import Max

from audit_app.models import AuditEntry, Checkpoint, TrailHead, Witness
from telemetry_app.metrics import TRAIL_BENT, TRAIL_HEAD, TRAIL_SIGNED


def read_witness() -> Witness | None:
    """How far the trail has got, as the main database remembers; to be read before the trail."""
    return Witness.objects.first()


def measure_trail(witness: Witness | None) -> None:
    """Bring the gauges of the trail up to date. Raises django.db.DatabaseError.

    Only what costs nothing is looked at: the end of the trail and the entry that the witness names. `audit verify`
    looks at everything.
    """
    head = TrailHead.objects.values_list("head", flat=True).first() or 0
    TRAIL_HEAD.set(head)
    TRAIL_SIGNED.set(Checkpoint.objects.aggregate(last=Max("last"))["last"] or 0)
    TRAIL_BENT.labels("witness").set(witness is not None and not _is_there(witness, head))


def _is_there(witness: Witness, head: int) -> bool:
    """Whether the trail has the entry that the witness names, or only what is later: the rest went to the archive."""
    upto = AuditEntry.objects.filter(sequence__lte=witness.sequence).order_by("-sequence")
    last = upto.values_list("sequence", "hash").first()
    return witness.sequence <= head and last in {(witness.sequence, witness.hash), None}
