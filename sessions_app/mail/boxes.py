"""The mailboxes of sessions as the rest of the process sees them."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

from sessions_app.line import Line
from sessions_app.mail.bells import Bell, Bells
from sessions_app.mail.letters import Letter, Mail
from sessions_app.mail.memory import MemoryMail
from sessions_app.mail.shared import SharedMail


class Mailboxes:
    """Mailboxes, shared with other nodes or not. What raises PartAway says so."""

    def __init__(self) -> None:
        self.bells = Bells()
        self._mail: Mail = MemoryMail()

    def start(self, line: Line | None) -> None:
        """Share mailboxes over a line to Redis, if there is one. To be called in the event loop that serves."""
        if line is not None:
            self._mail = SharedMail(line)
            self.bells.start()

    async def stop(self) -> None:
        """Share no more, and forget what was only here."""
        await self.bells.stop()
        self._mail = MemoryMail()

    async def post(self, session_id: str, box: str, text: bytes) -> None:
        """Leave a letter of at most MAX_LETTER_BYTES, and ring. Raises PartAway."""
        await self._mail.post(session_id, box, text)
        await self.bells.ring(session_id, box)

    async def read(self, session_id: str, after: str) -> Sequence[Letter]:
        """The letters behind a place, in order. Raises PartAway."""
        return await self._mail.read(session_id, after)

    async def note(self, session_id: str, name: str, text: str, most: int) -> bool:
        """Keep a note, and ring; False when there are as many as `most` others. Raises PartAway."""
        is_kept = await self._mail.note(session_id, name, text, most)
        if is_kept:
            await self.bells.ring(session_id, name)
        return is_kept

    async def unnote(self, session_id: str, name: str) -> None:
        """Drop a note, and ring. Raises PartAway."""
        await self._mail.unnote(session_id, name)
        await self.bells.ring(session_id, name)

    async def notes(self, session_id: str) -> Mapping[str, str]:
        """All notes by name. Raises PartAway."""
        return await self._mail.notes(session_id)

    async def touch(self, session_id: str) -> None:
        """Keep the notes for another `SESSION_IDLE_SECONDS`. Raises PartAway."""
        await self._mail.touch(session_id)

    async def drop(self, session_id: str) -> None:
        """Drop everything that a session has. Raises PartAway."""
        await self._mail.drop(session_id)

    @contextmanager
    def waiting(self, session_id: str) -> Iterator[Bell]:
        """A bell that rings when something comes for a session."""
        bell = Bell()
        self.bells.hang(session_id, bell)
        try:
            yield bell
        finally:
            self.bells.take(session_id, bell)


mailboxes = Mailboxes()
