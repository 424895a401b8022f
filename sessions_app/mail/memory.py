"""Mailboxes in the memory of the only process that there is."""

import time
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from django.conf import settings

from sessions_app.mail.letters import LETTER_SECONDS, MAX_BYTES, MAX_LETTERS, Letter

SWEEP_SECONDS: Final = 30.0


@dataclass(slots=True)
class Box:
    """The mailbox of one session; what has an end is kept until that moment of the monotonic clock."""

    letters: deque[Letter] = field(default_factory=deque)
    bytes: int = 0
    letters_end: float = 0.0
    notes: dict[str, str] = field(default_factory=dict)
    notes_end: float = 0.0


class MemoryMail:
    """See Mail."""

    def __init__(self) -> None:
        self._boxes: dict[str, Box] = {}
        self._posted = 0
        self._next_sweep = 0.0

    def __len__(self) -> int:
        """How many sessions have something in their mailboxes."""
        self._sweep(0.0)
        return len(self._boxes)

    async def post(self, session_id: str, box: str, text: bytes) -> None:
        self._posted += 1
        found = self._box(session_id)
        found.letters.append(Letter(f"{self._posted}-0", box, text))
        found.bytes += len(text)
        while found.bytes > MAX_BYTES or len(found.letters) > MAX_LETTERS:
            found.bytes -= len(found.letters.popleft().text)
        found.letters_end = time.monotonic() + LETTER_SECONDS

    async def read(self, session_id: str, after: str) -> Sequence[Letter]:
        behind = int(after.partition("-")[0])
        found = self._boxes.get(session_id)
        return [] if found is None else [one for one in found.letters if int(one.place.partition("-")[0]) > behind]

    async def note(self, session_id: str, name: str, text: str, most: int) -> bool:
        found = self._box(session_id)
        if name not in found.notes and len(found.notes) >= most:
            return False
        found.notes[name] = text
        found.notes_end = time.monotonic() + settings.SESSION_IDLE_SECONDS
        return True

    async def unnote(self, session_id: str, name: str) -> None:
        found = self._boxes.get(session_id)
        if found is not None:
            found.notes.pop(name, None)

    async def notes(self, session_id: str) -> Mapping[str, str]:
        found = self._boxes.get(session_id)
        return {} if found is None or found.notes_end < time.monotonic() else dict(found.notes)

    async def touch(self, session_id: str) -> None:
        found = self._boxes.get(session_id)
        if found is not None and found.notes_end >= time.monotonic():
            found.notes_end = time.monotonic() + settings.SESSION_IDLE_SECONDS

    async def drop(self, session_id: str) -> None:
        self._boxes.pop(session_id, None)

    def _box(self, session_id: str) -> Box:
        self._sweep(SWEEP_SECONDS)
        return self._boxes.setdefault(session_id, Box())

    def _sweep(self, rest: float) -> None:
        """Forget what is over, unless that was done a moment ago."""
        now = time.monotonic()
        if now < self._next_sweep and rest:
            return
        self._next_sweep = now + rest
        for session_id, box in list(self._boxes.items()):
            if box.letters_end < now:
                box.letters.clear()
                box.bytes = 0
            if box.notes_end < now:
                box.notes.clear()
            if not box.letters and not box.notes:
                del self._boxes[session_id]
