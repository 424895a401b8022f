"""What a sink delivers to: a receiver takes a batch whole, or says why not."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from audit_app.models import AuditEntry

MAX_REASON = 500


@dataclass(frozen=True, slots=True)
class Item:
    """An entry on its way: as it is in the trail, and as a line in the sink's format."""

    entry: AuditEntry
    line: bytes

    @property
    def sequence(self) -> int:
        return self.entry.sequence


class ReceiverAway(Exception):
    """The receiver did not take the batch, and may take it later; `retry_after` is in seconds, if it said when."""

    def __init__(self, reason: str, retry_after: float | None = None) -> None:
        self.reason = reason[:MAX_REASON]
        self.retry_after = retry_after
        super().__init__(self.reason)


class EntriesRejected(Exception):
    """The receiver answers, and will not take these entries, however often it is asked."""

    def __init__(self, reason: str) -> None:
        self.reason = reason[:MAX_REASON]
        super().__init__(self.reason)


class Receiver(Protocol):
    """One receiver, used by one thread for one run of its sink."""

    def send(self, items: Sequence[Item], key: str) -> None:
        """Returns when the receiver has taken all of it. `key` is the same when the same entries are sent again.

        Raises ReceiverAway when it is not known to have, and EntriesRejected when at least one of the entries is at
        fault; part of a batch may have been taken then, so what follows may repeat it.
        """

    def close(self) -> None:
        """Let go of connections. Raises nothing."""
