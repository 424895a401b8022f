"""What a session of this era is subscribed to, and which stream tells it: notes in its mailbox, for every node.

They go with the session, and when it has been idle for long.
"""

import asyncio
import contextlib
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, NamedTuple

from django.conf import settings

from audit_app.breaker import PartAway
from audit_app.deadlines import without_deadline
from sessions_app.caches import Memory
from sessions_app.mail.boxes import mailboxes

LISTENING: Final = "listening"
OF_URI: Final = "uri "

MAX_AWAKE: Final = 20_000


class Awake:
    """The sessions that are used here: what they are subscribed to is kept as long as they are."""

    def __init__(self) -> None:
        self._touched: Memory[str, float] = Memory(MAX_AWAKE)
        self._touching: set[asyncio.Task[None]] = set()

    def note(self, session_id: str) -> None:
        """A session is used; its mailbox is told so four times in SESSION_IDLE_SECONDS at most."""
        now = time.monotonic()
        touched = self._touched.get(session_id)
        if touched is None or now - touched > settings.SESSION_IDLE_SECONDS / 4:
            self._touched.put(session_id, now)
            task = asyncio.get_running_loop().create_task(self._touch(session_id), context=without_deadline())
            self._touching.add(task)
            task.add_done_callback(self._touching.discard)

    async def settle(self) -> None:
        """Return when the mailboxes have been told."""
        await asyncio.gather(*self._touching)

    @staticmethod
    async def _touch(session_id: str) -> None:
        with contextlib.suppress(PartAway):
            await mailboxes.touch(session_id)


class Subscribed(NamedTuple):
    """A URI as the client writes it, the offset from which on it wants to be told, and the id of the subscription."""

    written: str
    since: int
    id: str


@dataclass(frozen=True, slots=True)
class Wanted:
    """What is known of a session: by normalised URI what it is subscribed to, and which stream is to tell it."""

    uris: Mapping[str, Subscribed]
    stream: str


async def subscribe(session_id: str, uri: str, subscribed: Subscribed) -> bool:
    """Subscribe to a (normalised) URI; False when the session has as many subscriptions as it may. Raises PartAway."""
    text = f"{subscribed.since} {subscribed.id} {subscribed.written}"
    # one more is which stream tells
    return await mailboxes.note(session_id, f"{OF_URI}{uri}", text, settings.MCP_LISTEN_MAX_URIS + 1)


async def unsubscribe(session_id: str, uri: str) -> None:
    """Be told no more of a (normalised) URI. Raises PartAway."""
    await mailboxes.unnote(session_id, f"{OF_URI}{uri}")


async def listen(session_id: str, stream: str) -> None:
    """From now on this stream tells the session, and no other one. Raises PartAway."""
    await mailboxes.note(session_id, LISTENING, stream, settings.MCP_LISTEN_MAX_URIS + 2)


async def wanted(session_id: str) -> Wanted:
    """What a session wants to be told. Raises PartAway."""
    notes = await mailboxes.notes(session_id)
    uris = {}
    for name, text in notes.items():
        if name.startswith(OF_URI):
            since, id, written = text.split(" ", 2)
            uris[name.removeprefix(OF_URI)] = Subscribed(written, int(since), id)
    return Wanted(uris, notes.get(LISTENING, ""))


awake = Awake()
