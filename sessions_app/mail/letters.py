"""What mailboxes hold, and how much of it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Protocol

MAX_LETTER_BYTES: Final = 1024 * 1024
"""Of one letter. Whoever has more to say says that it was too much."""

MAX_BYTES: Final = 4 * 1024 * 1024
MAX_LETTERS: Final = 1000
"""Of all letters of a session; the oldest go first."""

LETTER_SECONDS: Final = 300
"""How long letters are kept after the last one has come."""

BEGINNING: Final = "0-0"
"""Behind no letter."""


@dataclass(frozen=True, slots=True)
class Letter:
    """`place` is where in the mailbox it is, after those that came before; `box` says what for."""

    place: str
    box: str
    text: bytes


class Mail(Protocol):
    """The mailboxes of all sessions. Everything raises PartAway while they are out of reach."""

    async def post(self, session_id: str, box: str, text: bytes) -> None:
        """Add a letter of at most MAX_LETTER_BYTES."""

    async def read(self, session_id: str, after: str) -> Sequence[Letter]:
        """The letters behind a place, in order."""

    async def note(self, session_id: str, name: str, text: str, most: int) -> bool:
        """Keep a note under a name, in place of the one there; False when there are as many as `most` others."""

    async def unnote(self, session_id: str, name: str) -> None:
        """Drop a note, if there is one."""

    async def notes(self, session_id: str) -> Mapping[str, str]:
        """All notes by name."""

    async def touch(self, session_id: str) -> None:
        """Keep the notes for another `SESSION_IDLE_SECONDS`."""

    async def drop(self, session_id: str) -> None:
        """Drop everything."""
