"""After a restore the log goes on at an offset that it never had, so nobody's old offset means another event."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from audit_app.bulk import Bulk, table_of
from audit_app.commands import Decision, Store
from audit_app.system import system_entry
from audit_app.trail import Entry
from audit_app.writer import writer
from resources_app.log.head import CHANGES, HEADS
from resources_app.models import LogHead

FAR = 10**11
"""More offsets than a log uses up in half a year of 5,000 changes a second."""

MOST = 2**51
"""Redis keeps positions as doubles, and what lies above 2⁵² is no position (sessions_app/positions.py)."""

PLACES = table_of(LogHead, "stream", "head")
SKIPS = table_of(LogHead, "stream", "skipped_to")


@dataclass(slots=True)
class Heads:
    """Where the stream ends, and where it is to go on, if anywhere."""

    head: int
    skip_to: int | None = None


class SkipStore(Store):
    """Moves the head of the stream `changes`, which it keeps locked meanwhile."""

    def load(self, db: Bulk, commands: Sequence["Skip"]) -> Heads:
        ((_, head),) = db.select(PLACES, "stream", [CHANGES], lock=True)
        return Heads(head)

    def decide(self, state: Heads, command: "Skip", at: datetime) -> Decision:
        before = state.head if state.skip_to is None else state.skip_to
        to = before + FAR if command.to is None else command.to
        if not before < to <= MOST:
            return Decision(result=None)
        state.skip_to = to
        return Decision(result=to, details={"from": before, "to": to})

    def save(self, db: Bulk, state: Heads) -> None:
        if state.skip_to is not None:
            db.advance(HEADS, CHANGES, state.skip_to - state.head)
            db.update(SKIPS, "stream", [(CHANGES, state.skip_to + 1)])


STORE = SkipStore()


@dataclass(frozen=True, slots=True, kw_only=True)
class Skip:
    """Have the stream `changes` go on behind `to`, or far behind its head (None).

    The result is the new head; None, and nothing is done, when that would not be ahead or not be an offset any more.
    """

    to: int | None
    entry: Entry
    store: SkipStore = STORE


def skip(to: int | None) -> int | None:
    """Have the log go on behind an offset. Returns the new head, or None when it cannot go there."""
    head: int | None = writer.run(Skip(to=to, entry=system_entry("log/skip", "log", CHANGES)))
    return head
