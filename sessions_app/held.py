"""The sessions that this process holds, and what it knows of their changes from the control stream."""

import asyncio

from resources_app.hub.hub import hub
from resources_app.log.control import ControlEvent
from sessions_app.caches import Memory
from sessions_app.records import SessionRecord
from sessions_app.states import Reason, State

MAX_HELD = 50_000


class HeldSessions:
    """The sessions used last, by id, and which of them each token family uses.

    `active` are those used since activity was last written down; `openings` are sessions in the making, by family, and
    `loadings` sessions that are being read, by id.
    """

    def __init__(self) -> None:
        self.records: Memory[str, SessionRecord] = Memory(MAX_HELD)
        self.of_family: Memory[str, str] = Memory(MAX_HELD)
        self.active: dict[str, SessionRecord] = {}
        self.openings: dict[str, asyncio.Task[SessionRecord]] = {}
        self.loadings: dict[str, asyncio.Task[SessionRecord | None]] = {}
        self._changed: Memory[str, int] = Memory(MAX_HELD, self._forget_change)
        self._known_from: int | None = None

    def hold(self, record: SessionRecord) -> SessionRecord:
        """Hold a session; if it is held already, the record that requests share stays, and is brought up to date."""
        present = self.records.get(record.id)
        if present is None:
            present = record
        else:
            present.state, present.reason = record.state, record.reason
            present.position = max(present.position, record.position)
        if hub.started:
            self.records.put(record.id, present)
        return present

    def follow(self, event: ControlEvent) -> None:
        """Take in a control event of a session."""
        self._changed.put(event.subject, event.offset)
        record = self.records.get(event.subject)
        if record is None:
            return
        record.state, record.reason = State(event.data["state"]), Reason(event.data["reason"])
        if not record.is_living:
            self.records.drop(record.id)
            self.active.pop(record.id, None)

    def changed_at(self, id: str) -> int:
        """The position in the control stream up to which a session may have changed: older copies are not trusted."""
        if self._known_from is None:
            self._known_from = hub.control_position
        return max(self._known_from, self._changed.get(id) or 0)

    def clear(self) -> None:
        for memory in (self.records, self.of_family, self._changed):
            memory.clear()
        self.active.clear()
        self._known_from = None

    def _forget_change(self, id: str, offset: int) -> None:
        if self._known_from is not None:
            self._known_from = max(self._known_from, offset)


held = HeldSessions()
