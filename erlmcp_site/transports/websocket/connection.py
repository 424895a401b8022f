"""One socket as the rest of the system sees it: whose it is, where its events go, and how it ends."""

import asyncio
import time
from collections.abc import Coroutine, Mapping, Sequence
from typing import Any

import orjson
from uuid_utils import uuid7

from audit_app.errors import Refusal
from erlmcp_site.methods.catalogue import pipeline
from erlmcp_site.pipeline.messages import UNKNOWN, Credentials, Reply, Request, Unread
from erlmcp_site.transports.ends import END, note_end
from erlmcp_site.transports.jsonrpc import notification
from erlmcp_site.transports.websocket.codes import CloseCode
from erlmcp_site.transports.websocket.handshake import Client
from erlmcp_site.transports.websocket.registry import connections
from erlmcp_site.transports.websocket.wires import Wire
from resources_app.hub.followers import Follower, Form
from resources_app.hub.hub import hub
from resources_app.log.events import LoggedEvent
from sessions_app.access.following import followings
from sessions_app.authentication import authenticate
from sessions_app.callers import Caller
from sessions_app.connected import connected
from sessions_app.errors import Forbidden
from sessions_app.records import SessionRecord
from sessions_app.sessions import session_for

AUTHENTICATE = "auth/authenticate"

NO_METADATA: Mapping[str, str] = {}

CODES = {
    "unauthenticated": CloseCode.UNAUTHENTICATED,
    "refresh_reused": CloseCode.UNAUTHENTICATED,
    "forbidden": CloseCode.FORBIDDEN,
    "resource_not_found": CloseCode.FORBIDDEN,
    "rate_limited": CloseCode.RATE,
}
"""How a socket is closed that could not be authenticated; for other refusals the client may try again later."""


def joined(events: Sequence[LoggedEvent], texts: Sequence[str]) -> bytes:
    """Events as the inside of a JSON array, in UTF-8; shared by all sockets."""
    return ",".join(texts).encode()


class Connection:
    """The outlet of one socket. It belongs to nobody until `authenticate` has succeeded.

    `running` are the calls that have not been answered. `is_cold` says that something about its caller or session has
    changed, so that the next call may have to wait for the database where others behind it might not. `is_finishing`:
    no more calls are taken.
    """

    __slots__ = (
        *("caller", "client", "followers", "keys", "running", "session", "wire"),
        *("is_closing", "is_cold", "is_finishing"),
        *("_close_reason", "_has_followed", "_is_open", "_loop", "_recheck", "_timer", "_token", "_was_closed"),
    )

    transport = "websocket"
    form: Form = staticmethod(joined)

    def __init__(self, wire: Wire, client: Client) -> None:
        self.wire = wire
        self.client = client
        self.followers: dict[str, Follower] = {}
        self.caller: Caller | None = None
        self.session: SessionRecord | None = None
        self.running: set[asyncio.Task[None]] = set()
        self.keys: tuple[str, ...] = ()
        self.is_closing = False
        self.is_cold = False
        self.is_finishing = False
        self._close_reason = (CloseCode.TRY_AGAIN_LATER, "")
        self._is_open = False
        self._has_followed = False
        self._was_closed = False
        self._loop = asyncio.get_running_loop()
        self._timer: asyncio.TimerHandle | None = None
        self._recheck: asyncio.Task[None] | None = None
        self._token: str | None = None

    # -- who it is

    def request(self, method: str, params: Mapping[str, Any], metadata: Mapping[str, str]) -> Request:
        """A call of this socket, as the pipeline takes it."""
        session_id = self.session.id if self.session else None
        return self._request(method, params, self._token, session_id, metadata=metadata)

    async def refuse(self, unread: Unread, method: str = UNKNOWN, token: str | None = None) -> Reply:
        """The answer to what could not be read as a call: a refusal, on the record of whoever sent it."""
        session_id = self.session.id if self.session else self.client.session_id
        return await pipeline.run(self._request(method, {}, token or self._token, session_id, unread))

    async def authenticate(self, token: str, session_id: str | None = None) -> Reply:
        """Make the socket belong to the caller of a token, until the token expires; also with a fresh token later."""
        wanted = session_id or self.client.session_id
        reply = await pipeline.run(self._request(AUTHENTICATE, {}, token, wanted))
        if reply.refusal is None:
            self._token = token
            await self._confirm(Credentials(token=token))
        return reply

    def identify(self, caller: Caller, session: SessionRecord) -> None:
        """Called by the method `auth/authenticate`.

        Raises Forbidden when the socket belongs to another user, TooManyConnections when its user has enough of them.
        A socket whose caller may do less than before is closed: what it follows was granted to the caller of before.
        """
        before = self.caller
        if before is not None and before.user_id != caller.user_id:
            raise Forbidden("This socket belongs to another user.")
        if before is None:
            connected.enter(caller.user_id)
        self.caller, self.session = caller, session
        connections.add(self, (f"session:{session.id}", f"family:{caller.family}", f"user:{caller.user_id}"))
        self._close_after(caller.expires_at - time.time(), CloseCode.UNAUTHENTICATED, "token expired")
        if before is not None and before.permissions - caller.permissions:
            self.close(CloseCode.FORBIDDEN, "permissions withdrawn")
        followings.renew(self.followers.values(), caller)

    async def _confirm(self, credentials: Credentials) -> None:
        """What was revoked or ended while the answer was made did not find this socket yet: look once more."""
        try:
            caller = await authenticate(credentials)
            session_id = self.session.id if self.session else None
            self.identify(caller, await session_for(caller, session_id, self.client.client_id))
        except Refusal as refusal:
            self.close(code_of(refusal), refusal.message)

    def recheck(self) -> None:
        """Something about the user or the session has changed: see whether the token is still good, and for what."""
        if self._recheck is None and self._token is not None:
            self._recheck = self._loop.create_task(self._authenticate_again(self._token))

    async def _authenticate_again(self, token: str) -> None:
        try:
            reply = await self.authenticate(token, self.session.id if self.session else None)
        finally:
            self._recheck = None
        if reply.refusal is not None:
            self.close(code_of(reply.refusal), reply.refusal.message)

    def _request(
        self,
        method: str,
        params: Mapping[str, Any],
        token: str | None,
        session_id: str | None,
        unread: Unread | None = None,
        metadata: Mapping[str, str] = NO_METADATA,
    ) -> Request:
        client = self.client
        return Request(
            id=str(uuid7()),
            method=method,
            params=params,
            transport="websocket",
            timestamp=time.time(),
            credentials=None if token is None else Credentials(token=token),
            client_id=client.client_id,
            session_id=session_id,
            metadata=metadata,
            source_ip=client.source_ip,
            user_agent=client.user_agent,
            outlet=self,
            unread=unread,
        )

    # -- what it is sent

    def deliver(self, subscription: str, payload: bytes, last: int) -> Coroutine[Any, Any, None]:
        return self.wire.send(
            b'{"jsonrpc":"2.0","method":"events","params":{"subscription":%b,"offset":%d,"events":['
            % (orjson.dumps(subscription), last),
            payload,
            b"]}}",
        )

    def bookmark(self, subscription: str, offset: int) -> Coroutine[Any, Any, None]:
        return self.wire.send(notification("bookmark", {"subscription": subscription, "offset": offset}))

    async def reset(self, subscription: str, earliest: int, head: int) -> None:
        follower = self.followers.pop(subscription, None)
        if follower is not None:
            hub.leave(follower)
        params = {"subscription": subscription, "earliest": earliest, "head": head}
        await self.wire.send(notification("reset", params))

    def deleted(self, subscription: str) -> None:
        self.followers.pop(subscription, None)
        self.wire.post(notification("unsubscribed", {"subscription": subscription}))

    def cut(self, subscription: str) -> None:
        self.followers.pop(subscription, None)
        self.wire.post(notification("unsubscribed", {"subscription": subscription, "code": "forbidden"}))

    def slow(self) -> None:
        self.close(CloseCode.SLOW_READER, "the client does not read")

    # -- how it lives and ends

    def opened(self, authentication_seconds: float) -> None:
        """The handshake is complete. A socket that belongs to nobody yet has that many seconds to authenticate."""
        self._is_open = True
        self.wire.opened()
        if self.is_closing:
            self.wire.end(*self._close_reason)
        elif self.caller is None:
            reason = "no authentication in time"
            self._close_after(authentication_seconds, CloseCode.AUTHENTICATION_TIMEOUT, reason)

    def close(self, code: CloseCode, reason: str, notice: bytes | None = None) -> None:
        """Close the socket, after a last notice; nothing is read or delivered any more."""
        if self.is_closing:
            return
        self.is_closing = True
        self._close_reason = (code, reason)
        self._leave()
        if self._is_open:
            self.wire.end(code, reason, notice)

    async def finish(self, within: float, code: CloseCode, reason: str) -> None:
        """Take no more calls, let those that run be answered within some seconds, then close the socket."""
        self.is_finishing = True
        if self.running:
            await asyncio.wait(set(self.running), timeout=within)
        self.close(code, reason)

    def ended(self) -> None:
        """The socket is gone: let go of everything that it held."""
        self._was_closed, self.is_closing = self.is_closing, True
        self._leave()
        connections.remove(self)
        if self.caller is not None:
            connected.leave(self.caller.user_id)
        if self._has_followed and self.caller is not None:
            request = self._request(END, {}, None, None)
            code, reason = self._close_reason
            told = {"closed": int(code), "reason": reason} if self._was_closed else {}
            note_end(request, self.caller, self.session.id if self.session else "", told)
        if self._timer is not None:
            self._timer.cancel()
        if self._recheck is not None:
            self._recheck.cancel()

    def _leave(self) -> None:
        self._has_followed = self._has_followed or bool(self.followers)
        for follower in self.followers.values():
            hub.leave(follower)
        self.followers.clear()

    def _close_after(self, seconds: float, code: CloseCode, reason: str) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = self._loop.call_later(max(0.0, seconds), self.close, code, reason)


def code_of(refusal: Refusal) -> CloseCode:
    """The code to close a socket with whose authentication was refused."""
    return CODES.get(refusal.code, CloseCode.TRY_AGAIN_LATER)
