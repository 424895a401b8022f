"""The sessions of one batch of the writer, from what is loaded to what is saved."""

from dataclasses import dataclass, field
from datetime import datetime

from django.conf import settings

from encryption_app.errors import KeysMissing
from resources_app.log.control import ControlEvent
from sessions_app.errors import SessionNotFound, TooManySessions
from sessions_app.records import SessionRecord
from sessions_app.room import Room, is_unused
from sessions_app.states import Reason, State
from sessions_app.transitions import moved


@dataclass(slots=True)
class SessionsOfBatch:
    """The sessions of one batch as the decisions so far have left them, and which session each family uses.

    `rooms` are of the users who get new ones. `destroyed` are those data keys which the batch would use, and which
    nobody has any more.
    """

    now: dict[str, SessionRecord]
    pointers: dict[str, str]
    rooms: dict[str, Room] = field(default_factory=dict)
    fresh: set[str] = field(default_factory=set)
    changed: set[str] = field(default_factory=set)
    rewritten: set[str] = field(default_factory=set)
    gone: set[str] = field(default_factory=set)
    pointed: set[str] = field(default_factory=set)
    ended: set[str] = field(default_factory=set)
    destroyed: set[str] = field(default_factory=set)

    def living(self, id: str, user_id: str | None) -> SessionRecord:
        """A session that has not ended, of that user (None: of anybody). Raises SessionNotFound."""
        record = self.now.get(id)
        if record is None or not record.is_living or user_id not in (None, record.user_id):
            raise SessionNotFound()
        return record

    def prove(self, sealer: str) -> None:
        """Raise KeysMissing when the data key under which something is to be kept was destroyed."""
        if sealer in self.destroyed:
            raise KeysMissing(gone=[sealer])

    def put(self, record: SessionRecord, *, is_rewritten: bool = False) -> None:
        """Take a session as it is now; `is_rewritten` where what it knows, or how that is kept, is another."""
        self.now[record.id] = record
        if not record.is_living:
            self.ended.add(record.id)
        if record.id not in self.fresh and record.backend == "database":
            self.changed.add(record.id)
            if is_rewritten:
                self.rewritten.add(record.id)

    def add(self, record: SessionRecord, at: datetime) -> list[ControlEvent]:
        """Add a session; the events are those of one that ends for it. Raises TooManySessions."""
        events = []
        if record.backend == "database":
            events = self._make_room(record.user_id, at)
            self.fresh.add(record.id)
        self.now[record.id] = record
        return events

    def _make_room(self, user_id: str, at: datetime) -> list[ControlEvent]:
        room = self.rooms[user_id]
        if room.count < settings.SESSIONS_PER_USER:
            room.count += 1
            return []
        for id in room.unused:
            unused = self.now.get(id)
            if unused is not None and is_unused(unused, at):
                after, event = moved(unused, State.TERMINATING, Reason.NONE, at)
                self.put(after)
                return [event]
        raise TooManySessions(limit=settings.SESSIONS_PER_USER)
