"""The open sockets of this process, found by whose they are, so that what happens to a session reaches its sockets."""

import asyncio
from itertools import islice
from operator import itemgetter
from typing import Any, Protocol

from django.conf import settings

from erlmcp_site.transports.admission import admission
from erlmcp_site.transports.jsonrpc import notification
from erlmcp_site.transports.websocket.codes import CloseCode
from erlmcp_site.transports.websocket.wires import Wire
from resources_app.hub.hub import CONTROL_LOST, hub
from resources_app.log.control import ControlEvent
from sessions_app.connected import connected
from sessions_app.records import SessionRecord
from sessions_app.sessions import touch

SESSION_ENDINGS = {
    "session.suspended": "suspended",
    "session.terminating": "terminating",
    "session.closed": "terminating",
    "session.dead": "dead",
}
"""Control events that end the sockets of a session, and the state that the sockets are told."""

DRAIN_BATCH = 100
DRAIN_PAUSE_SECONDS = 0.05

KEEPING_ROUNDS = 16
"""In how many parts the sessions of following sockets are kept active, so that they are not all written at once."""


class Member(Protocol):
    """A socket, as far as the registry goes. `keys` are those under which it is found."""

    wire: Wire
    keys: tuple[str, ...]
    followers: dict[str, Any]
    session: SessionRecord | None
    is_cold: bool

    def close(self, code: CloseCode, reason: str, notice: bytes | None = None) -> None: ...

    async def finish(self, within: float, code: CloseCode, reason: str) -> None: ...

    def recheck(self) -> None: ...


class Connections:
    """The authenticated sockets of one process."""

    def __init__(self) -> None:
        self._members: dict[Member, None] = {}
        self._by_key: dict[str, dict[Member, None]] = {}
        self._round = 0
        self._keeping: asyncio.TimerHandle | None = None

    def __len__(self) -> int:
        return len(self._members)

    def add(self, member: Member, keys: tuple[str, ...]) -> None:
        """Find a socket under these keys ("session:<id>", "family:<id>", "user:<id>"), and under no others."""
        self.remove(member)
        member.keys = keys
        self._members[member] = None
        for key in keys:
            self._by_key.setdefault(key, {})[member] = None
        if self._keeping is None:
            self._keep_later()

    def remove(self, member: Member) -> None:
        """Forget a socket; one that is not there is left alone."""
        self._members.pop(member, None)
        for key in member.keys:
            members = self._by_key.get(key, {})
            members.pop(member, None)
            if not members:
                self._by_key.pop(key, None)
        member.keys = ()

    def follow_control(self, event: ControlEvent) -> None:
        """Let a suspension, an ending, a revocation or a change reach the sockets that it concerns."""
        for member in self._concerned(event):
            member.is_cold = True
            state = SESSION_ENDINGS.get(event.kind)
            if state is not None:
                member.close(CloseCode.FORBIDDEN, f"session {state}", notification("session", {"state": state}))
            elif event.kind == "family.revoked":
                member.close(CloseCode.UNAUTHENTICATED, "token revoked")
            else:
                member.recheck()

    def _concerned(self, event: ControlEvent) -> list[Member]:
        """Whom an event is about: everybody, when the process has missed some."""
        if event.kind == CONTROL_LOST:
            return list(self._members)
        subject = event.kind.partition(".")[0]
        return list(self._by_key.get(f"{subject}:{event.subject}", ()))

    async def drain(self, within: float) -> None:
        """Tell all sockets to come back elsewhere, and close them in batches, when their calls have been answered.

        Returns after at most about `within` seconds, the second half of which is for calls. Each socket is told to wait
        a different time, and those that come back first are closed first.
        """
        count = connected.total
        members = sorted(((admission.retry_ms(count), member) for member in self._members), key=itemgetter(0))
        for retry_ms, member in members:
            member.wire.post(notification("drain", {"retry_ms": retry_ms}))
        batches = [members[start : start + DRAIN_BATCH] for start in range(0, len(members), DRAIN_BATCH)]
        pause = min(DRAIN_PAUSE_SECONDS, within / 2 / max(1, len(batches)))
        async with asyncio.TaskGroup() as closing:
            for batch in batches:
                await asyncio.sleep(pause)
                for _, member in batch:
                    closing.create_task(member.finish(within / 2, CloseCode.DRAIN, "this server is restarting"))

    def _keep_later(self) -> None:
        seconds = settings.SESSION_IDLE_SECONDS / 4 / KEEPING_ROUNDS
        self._keeping = asyncio.get_running_loop().call_later(seconds, self._keep_active)

    def _keep_active(self) -> None:
        """Following is activity: the session of a socket that follows something is not idle."""
        self._round = (self._round + 1) % KEEPING_ROUNDS
        for member in islice(self._members, self._round, None, KEEPING_ROUNDS):
            if member.followers and member.session is not None:
                touch(member.session)
        self._keeping = None
        if self._members:
            self._keep_later()


connections = Connections()
hub.on_control(connections.follow_control)
