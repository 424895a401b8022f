"""What verification finds when the trail is not as it was made."""

from typing import Literal

Kind = Literal["missing", "changed", "unlinked", "surplus", "head", "witness", "checkpoint"]
"""missing: entries are not there. changed: an entry is not what its hash says. unlinked: the next entry names another
hash. surplus: an entry stands where none can be. head, witness, checkpoint: the trail is not the one of which the
trail's head, the main database, or a signed checkpoint tells, or a checkpoint itself is not in order."""


class Bent(Exception):
    """The first entry, by its sequence number, from which on the trail cannot be relied on, and why."""

    def __init__(self, sequence: int, kind: Kind, why: str) -> None:
        self.sequence = sequence
        self.kind = kind
        self.why = why
        super().__init__(f"{sequence}: {why}")
