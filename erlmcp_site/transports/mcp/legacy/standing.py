"""The stream on which a session of this era is told of what it is subscribed to, and of lists (R5).

The id of an event is an offset of the log up to which the session has been told of everything. So the log is what a
stream is taken up again from, on whichever node.
"""

import asyncio
import logging
import secrets
from collections.abc import Mapping
from typing import Any, Final

from audit_app.breaker import PartAway
from audit_app.database import in_database
from erlmcp_site.methods.lists import LISTS, lists_of
from erlmcp_site.pipeline.messages import Reply, Request
from erlmcp_site.transports.mcp.answers import frame, notification_message
from erlmcp_site.transports.mcp.exchange import Exchange, Turned
from erlmcp_site.transports.mcp.following import UPDATED, Latest, NotificationStream
from erlmcp_site.transports.mcp.legacy.handshakes import Speaker
from erlmcp_site.transports.mcp.legacy.subscribed import Subscribed, listen, subscribe, wanted
from erlmcp_site.transports.mcp.legacy.told import RETRY_MS, WITH_PRIMING
from erlmcp_site.transports.streams import admitted
from resources_app.errors import Reset
from resources_app.hub.hub import hub
from resources_app.log.read import types_of_changes
from sessions_app.access.decisions import may
from sessions_app.access.rulebook import rulebook
from sessions_app.access.rules import Verb
from sessions_app.mail.boxes import mailboxes

log = logging.getLogger(__name__)

OF_LOG: Final = "g"
"""How the ids of events begin that are offsets of the log."""

LOOK_SECONDS: Final = 10.0
"""How often what the session wants is looked at when no bell rings."""

MOST_MISSED: Final = 2000
"""Behind so many events nobody looks which lists have changed: all may have."""


def offset_of(event_id: str) -> int | None:
    """The offset that the id of an event stands for; None for the id of an event of another stream."""
    kind, _, offset = event_id.partition(".")
    return int(offset) if kind == OF_LOG and offset.isdecimal() and len(offset) < 19 else None


class StandingStream(NotificationStream):
    """Tells one session for as long as it is the newest such stream of it; `after` is the offset to go on from."""

    def __init__(self, exchange: Exchange, speaker: Speaker, after: int | None) -> None:
        super().__init__()
        self._name = secrets.token_hex(8)
        self._is_resumed = after is not None
        self._after = hub.position if after is None else after
        self._exchange = exchange
        self._speaker = speaker
        self._known: dict[str, Subscribed] = {}
        self._watching: asyncio.Task[None] | None = None

    async def admit(self) -> tuple[Request, Reply]:
        """Ask to be told what the session wants. Raises PartAway."""
        session_id = self._speaker.session.id
        await listen(session_id, self._name)
        self._known = dict((await wanted(session_id)).uris)
        request, reply = await self._ask_for_all()
        is_lost = isinstance(reply.refusal, Reset)
        if is_lost:
            # nobody knows what is missing: whatever the session is subscribed to may be another by now
            self._after = hub.position
            request, reply = await self._ask_for_all()
        start = f"id: {OF_LOG}.{self._after}\nretry: {RETRY_MS}\ndata: \n\n"
        has_start = self._speaker.handshake.version >= WITH_PRIMING
        self.opening = start.encode() if has_start else b": open\n\n"
        self.on_open = lambda: self._begin(reply, is_lost=is_lost)
        return request, reply

    async def deliver(self, subscription: str, payload: Latest, last: int) -> None:
        known = self._known.get(subscription)
        if known is None or payload.offset > known.since:
            await super().deliver(subscription, payload, last)

    async def notify(self, method: str, params: Mapping[str, Any]) -> None:
        told = min((hub.passed(follower) for follower in self.followers.values()), default=hub.position)
        await self._write(frame(notification_message(method, params), f"{OF_LOG}.{told}"))

    def leave(self) -> None:
        if self._watching is not None:
            self._watching.cancel()
            self._watching = None
        super().leave()

    async def _ask_for_all(self) -> tuple[Request, Reply]:
        written = [subscribed.written for subscribed in self._known.values()]
        params = {"uris": written, "lists": list(LISTS), "after": self._after}
        request = self._exchange.request("events/listen", params, self)
        return request, await admitted(request)

    def _begin(self, reply: Reply, *, is_lost: bool) -> None:
        if reply.then is not None:
            reply.then()
        self.begin()
        self._watching = asyncio.ensure_future(self._watch(is_lost=is_lost))
        self._watching.add_done_callback(self._watched)

    async def _watch(self, *, is_lost: bool) -> None:
        """Tell what was missed of what the log cannot tell, then follow what the session wants."""
        if is_lost:
            for uri in list(self.followers):
                await self.notify(UPDATED, {"uri": self.spellings.get(uri, uri)})
        if self._is_resumed:
            for name in LISTS if is_lost else await self._missed_lists():
                self.list_changed(name)
        session_id = self._speaker.session.id
        with mailboxes.waiting(session_id) as bell:
            while await self._is_wanted(session_id):
                await bell.wait(LOOK_SECONDS)

    def _watched(self, task: asyncio.Task[None]) -> None:
        if not task.cancelled() and (error := task.exception()) is not None and not isinstance(error, Turned):
            log.error("a stream of MCP cannot go on", exc_info=error)
        self.end()

    async def _missed_lists(self) -> set[str]:
        """The lists in which something has changed that the caller may read, since the client was here."""
        changes = await in_database(types_of_changes, self._after, MOST_MISSED)
        if len(changes) == MOST_MISSED:
            return set(LISTS)
        index, caller = await rulebook.read(), self._speaker.caller
        return {name for one in changes for name in lists_of(one) if may(index, caller, Verb.READ, one.uri)}

    async def _is_wanted(self, session_id: str) -> bool:
        """See what the session wants now; False when another stream tells it. Raises Turned."""
        try:
            now = await wanted(session_id)
            if not now.stream:
                # the mailbox was lost, or is over: what this stream knows is what there is
                await listen(session_id, self._name)
                for uri, subscribed in self._known.items():
                    await subscribe(session_id, uri, subscribed)
                return True
            await mailboxes.touch(session_id)
        except PartAway:
            return True
        if now.stream != self._name:
            return False
        for uri in self._known.keys() - now.uris.keys():
            del self._known[uri]
            self.unfollow(uri)
        for uri, subscribed in now.uris.items():
            if self._known.get(uri) != subscribed:
                await self._follow(uri, subscribed)
        return True

    async def _follow(self, uri: str, subscribed: Subscribed) -> None:
        """Tell the session of one more URI; what is refused now is asked for again. Raises Turned."""
        if uri not in self.followers:
            params = {"uris": [subscribed.written], "after": subscribed.since}
            reply = await self._exchange.reply("events/listen", params, self)
            self._exchange.replies.clear()
            if reply.refusal is not None:
                return
            if reply.then is not None:
                reply.then()
        self._known[uri] = subscribed
