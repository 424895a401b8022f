"""One request of MCP under way: who asks, in which revision, and what the pipeline answers to it."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

from mcp_types import RequestId

from audit_app.errors import Refusal
from erlmcp_site.methods.catalogue import pipeline
from erlmcp_site.pipeline.messages import UNKNOWN, Reply, Request, Unread
from erlmcp_site.transports.http.answers import Header, position_headers, quota_headers, trace_headers
from erlmcp_site.transports.http.incoming import Incoming
from erlmcp_site.transports.mcp.errors import mcp_error
from resources_app.hub.followers import Outlet
from sessions_app.errors import RateLimited


class Channel(Protocol):
    """Where what a handler says before its result goes: the stream of the answer.

    `can_request` tells whether the client can be asked something while its request waits, which the modern era never
    does.
    """

    can_request: bool

    async def notify(self, method: str, params: Mapping[str, Any]) -> None:
        """Send a notification; one to a client that has gone is dropped."""

    async def request(self, method: str, params: Mapping[str, Any]) -> dict[str, Any]:
        """Ask the client something, and return the result. Raises MCPError with what it answers instead."""

    async def close(self) -> None:
        """End the stream of the answer before it is there; a client that wants it comes back for it."""


class Turned(Exception):
    """The request is answered by HTTP itself: a token that is not valid (401), or that is good for less (403)."""

    def __init__(self, refusal: Refusal, headers: list[Header]) -> None:
        self.refusal = refusal
        self.headers = headers
        super().__init__(str(refusal))


@dataclass(slots=True, kw_only=True)
class Exchange:
    """A request of MCP; `replies` are those of the pipeline to what was asked for it, in order.

    `id` is that of JSON-RPC. `session_id` is the session of the legacy era. `client` is the name that the client gives
    itself in its `client_info`, which proves nothing. `headers` are for the answer.
    """

    incoming: Incoming
    id: RequestId
    version: str
    method: str = UNKNOWN
    session_id: str | None = None
    client: str = ""
    client_info: Any = None
    params: Mapping[str, Any] | None = None
    capabilities: Mapping[str, Any] = field(default_factory=dict)
    meta: Mapping[str, Any] = field(default_factory=dict)
    channel: Channel | None = None
    replies: list[Reply] = field(default_factory=list)
    headers: list[Header] = field(default_factory=list)

    async def ask(self, method: str, params: Mapping[str, Any], outlet: Outlet | None = None) -> Any:
        """The result of a method of the table. Raises MCPError when it is refused, Turned where HTTP says so."""
        reply = await self.reply(method, params, outlet)
        if reply.refusal is not None:
            raise self.error(reply.refusal)
        return reply.result

    async def reply(self, method: str, params: Mapping[str, Any], outlet: Outlet | None = None) -> Reply:
        """The reply of the pipeline, which may be a refusal. Raises Turned where HTTP says so."""
        return self._heard(await pipeline.run(self.request(method, params, outlet)))

    async def refuse(self, refusal: Refusal, method: str = UNKNOWN) -> Refusal:
        """Have a request refused that asks for nothing of the table, on the record of whoever sent it.

        Returns the refusal to answer with, which may be that of a limit. Raises Turned where HTTP says so.
        """
        unread = Unread(refusal=refusal, address=f"{self.incoming.method} {self.incoming.path}")
        request = replace(self.request(method, {}), unread=unread)
        return self._heard(await pipeline.run(request)).refusal or refusal

    def request(self, method: str, params: Mapping[str, Any], outlet: Outlet | None = None) -> Request:
        """A request as the pipeline takes it."""
        request = self.incoming.request(method, params, "mcp", outlet)
        if self.session_id is not None:
            request.session_id = self.session_id
        if self.client:
            request.client_id = request.client_id or self.client
        if "traceparent" in self.meta:
            told = {name: str(self.meta[name]) for name in ("traceparent", "tracestate") if name in self.meta}
            request.metadata = {**request.metadata, **told}
        return request

    def error(self, refusal: Refusal) -> Exception:
        """What a refusal is to this client."""
        return mcp_error(refusal, self.incoming.id, self.version)

    async def progress(self, progress: float, total: float | None = None, message: str | None = None) -> None:
        """Tell how far the request has got, if the client has asked to be told."""
        token = self.meta.get("progressToken")
        if token is None or self.channel is None:
            return
        said = {"progressToken": token, "progress": progress, "total": total, "message": message}
        await self.channel.notify(
            "notifications/progress", {name: value for name, value in said.items() if value is not None}
        )

    def _heard(self, reply: Reply) -> Reply:
        self.replies.append(reply)
        self.headers = [
            *position_headers(self.incoming.id, reply.offset),
            *quota_headers(reply.quotas),
            *trace_headers(reply.traceparent),
        ]
        refusal = reply.refusal
        if refusal is not None:
            if isinstance(refusal, RateLimited) and refusal.retry_after is not None:
                self.headers.append((b"retry-after", b"%d" % max(1, -int(-refusal.retry_after // 1))))
            if refusal.code == "unauthenticated":
                raise Turned(refusal, self.headers)
        return reply
