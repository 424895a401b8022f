"""What the writer is given: commands, the stores that decide them, and what a decision comes to."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol

from audit_app.bulk import Bulk
from audit_app.errors import Refusal
from audit_app.trail import Entry


class Stream(Protocol):
    """A stream of the log: numbers events and keeps them. Streams lock their heads in the order of their names."""

    name: str

    def append(self, db: Bulk, events: Sequence[Any], at: datetime) -> None:
        """Give each event its offset and insert it."""


class Event(Protocol):
    """Something that a stream of the log will number and keep."""

    @property
    def stream(self) -> Stream: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """What a command comes to: its result, its events, and what its audit entry says of it.

    `result` may refer to the events: they have their offsets by the time anybody sees it.
    """

    result: Any = None
    events: Sequence[Event] = ()
    details: Mapping[str, Any] | None = None


class Store(Protocol):
    """One kind of state: how a batch of commands on it is loaded, decided and saved."""

    def load(self, db: Bulk, commands: Sequence[Any]) -> Any:
        """Read, and lock, what the commands touch; whatever it returns is handed to `decide` and `save`."""

    def decide(self, state: Any, command: Any, at: datetime) -> Decision:
        """Decide one command and remember the outcome in `state`. No I/O.

        Raises a Refusal, having changed nothing in `state`.
        """

    def save(self, db: Bulk, state: Any) -> None:
        """Write what the decisions changed; events have their offsets."""


class Command(Protocol):
    """Something to be decided by a store. `entry` is None only for upkeep that no user asked for.

    One whose entry has a key that was used before is not decided again: its future raises Replayed.
    """

    @property
    def store(self) -> Store: ...
    @property
    def entry(self) -> Entry | None: ...


# not frozen, though nobody changes one: that would set each field by a call
@dataclass(slots=True, kw_only=True)
class Record:
    """No change at all, only an entry: a read, a refusal, a login that failed."""

    entry: Entry
    refusal: Refusal | None = None
    details: Mapping[str, Any] | None = None
