"""What one follower must have got, checked against the promise of contract §4 and against the database."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

Event = Mapping[str, Any]

OUTLINE = ("offset", "subject", "type", "version")


@dataclass
class Checker:
    """Takes a follower's events as they come, over any number of connections.

    Inside one connection offsets grow strictly. Over all of them nothing is missing: `covers` compares with the log.
    `resumed_at` tells that a new connection goes on from an offset. Not `whole`: events are kept without their data.
    """

    whole: bool = True
    events: list[Event] = field(default_factory=list)
    offset: int = 0
    faults: list[str] = field(default_factory=list)
    _connection_offset: int = 0

    def take(self, events: Sequence[Event], offset: int | None = None) -> None:
        """One delivery: its events and, where the transport says it, the offset that it reaches."""
        for event in events:
            if event["offset"] <= self._connection_offset:
                self.faults.append(f"{event['offset']} came after {self._connection_offset}")
            if event["id"] != str(event["offset"]):
                self.faults.append(f"event {event['offset']} has the id {event['id']}")
            self._connection_offset = event["offset"]
        self.events.extend(events if self.whole else [{name: event[name] for name in OUTLINE} for event in events])
        if events:
            self.offset = max(self.offset, events[-1]["offset"])
            if offset is not None and offset < events[-1]["offset"]:
                self.faults.append(f"a delivery up to {events[-1]['offset']} says {offset}")
        if offset is not None:
            self.offset = max(self.offset, offset)

    def bookmark(self, offset: int) -> None:
        """A bookmark: everything up to there has been delivered."""
        if offset < self._connection_offset:
            self.faults.append(f"a bookmark of {offset} came after {self._connection_offset}")
        self._connection_offset = max(self._connection_offset, offset)
        self.offset = max(self.offset, offset)

    def resumed_at(self, offset: int) -> None:
        self._connection_offset = offset
        self.offset = max(self.offset, offset)

    def sound(self) -> None:
        """Raises AssertionError when a connection brought an inversion or a duplicate."""
        assert not self.faults, f"{len(self.faults)} faults: {self.faults[:10]}"

    def covers(self, logged: Iterable[tuple[int, str, int]]) -> None:
        """Everything in `logged` (offset, URI, version) has come, once, and nothing else.

        Raises AssertionError, naming the first that are missing or foreign.
        """
        self.sound()
        due = list(logged)
        got = [(event["offset"], event["subject"], event["version"]) for event in self.events]
        missing = sorted(set(due) - set(got))
        foreign = sorted(set(got) - set(due))
        assert not missing, f"{len(missing)} of {len(due)} events are missing: {missing[:5]}"
        assert not foreign, f"{len(foreign)} events do not belong here: {foreign[:5]}"
        assert len(got) == len(due), f"{len(got) - len(due)} events came twice"
        assert got == sorted(got), "events came out of order over connections"

    def state(self) -> dict[str, int]:
        """The version of every resource, as somebody who only reads the events knows it; deleted ones are not in it."""
        versions: dict[str, int] = {}
        for event in self.events:
            if event["type"].endswith(".deleted"):
                versions.pop(event["subject"], None)
            else:
                versions[event["subject"]] = event["version"]
        return versions
