"""One request of MCP under way: who asks, in which revision, and what the pipeline answers to it."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final, Protocol, get_args

from mcp_types import LOG_LEVEL_META_KEY, LoggingLevel, RequestId

from audit_app.errors import Refusal
from erlmcp_site.methods.catalogue import pipeline
from erlmcp_site.pipeline.messages import UNKNOWN, Reply, Request, Unread
from erlmcp_site.transports.http.answers import Header, position_headers, quota_headers, trace_headers
from erlmcp_site.transports.http.incoming import Incoming
from erlmcp_site.transports.mcp.eras import MODERN
from erlmcp_site.transports.mcp.errors import cannot_ask, mcp_error, missing_capability
from resources_app.hub.followers import Outlet
from sessions_app.errors import OutOfScope, RateLimited
from sessions_app.scopes import scope_text

MAX_NAME = 128

NAMED_BY: Final[Mapping[str, tuple[str, str]]] = {
    "resources/read": ("mcp.resource.uri", "uri"),
    "tools/call": ("gen_ai.tool.name", "name"),
    "prompts/get": ("gen_ai.prompt.name", "name"),
}
"""How a span names what a method is about, and the parameter that says it."""

LEVELS: Final[tuple[str, ...]] = get_args(LoggingLevel)
"""From the lowest to the highest."""

CAPABILITY_OF: Final = {
    "sampling/createMessage": "sampling",
    "elicitation/create": "elicitation",
    "roots/list": "roots",
}
"""What a client has to have declared to be asked something."""


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
    itself in its `client_info`, which proves nothing. `headers` are for the answer. `scopes` are what a token has to
    have for all that the request may ask for, where that is known beforehand. `log_level` is that of a session of the
    legacy era. `state` is what the answer of an earlier round gave the client to bring back.
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
    scopes: frozenset[str] = frozenset()
    log_level: str | None = None
    state: str | None = None

    @property
    def answers(self) -> Mapping[str, Any]:
        """What the client answers to what an earlier round has asked it, by key."""
        return (self.params or {}).get("inputResponses") or {}

    async def ask(self, method: str, params: Mapping[str, Any], outlet: Outlet | None = None) -> Any:
        """The result of a method of the table. Raises MCPError when it is refused, Turned where HTTP says so."""
        reply = await self.reply(method, params, outlet)
        if reply.refusal is not None:
            raise self.error(reply.refusal)
        return reply.result

    async def reply(self, method: str, params: Mapping[str, Any], outlet: Outlet | None = None) -> Reply:
        """The reply of the pipeline, which may be a refusal. Raises Turned where HTTP says so."""
        return self.heard(await pipeline.run(self.request(method, params, outlet)))

    async def refuse(self, refusal: Refusal, method: str = UNKNOWN) -> Refusal:
        """Have a request refused that asks for nothing of the table, on the record of whoever sent it.

        Returns the refusal to answer with, which may be that of a limit. Raises Turned where HTTP says so.
        """
        unread = Unread(refusal=refusal, address=f"{self.incoming.method} {self.incoming.path}")
        request = replace(self.request(method, {}), unread=unread)
        return self.heard(await pipeline.run(request)).refusal or refusal

    def request(self, method: str, params: Mapping[str, Any], outlet: Outlet | None = None) -> Request:
        """A request as the pipeline takes it."""
        request = self.incoming.request(method, params, "mcp", outlet)
        if self.session_id is not None:
            request.session_id = self.session_id
        if self.client:
            request.client = self.client
            request.client_id = request.client_id or self.client
        if method != UNKNOWN:
            request.labels = self._labels()
        if "traceparent" in self.meta:
            told = {name: str(self.meta[name]) for name in ("traceparent", "tracestate") if name in self.meta}
            request.metadata = {**request.metadata, **told}
        return request

    def _labels(self) -> dict[str, str]:
        """What spans tell of this request (OpenTelemetry's semantic conventions for MCP)."""
        labels = {
            "mcp.method.name": self.method,
            "mcp.protocol.version": self.version,
            "mcp.session.id": self.session_id or "",
            "jsonrpc.request.id": str(self.id),
        }
        named = NAMED_BY.get(self.method)
        if named is not None and self.params is not None:
            name, parameter = named
            labels[name] = str(self.params.get(parameter, ""))
        return labels

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

    async def log(self, level: str, data: Any) -> None:
        """Tell a client that wants to hear of this level, or of lower ones, what is being done."""
        wanted = self.meta.get(LOG_LEVEL_META_KEY) if self.version in MODERN else self.log_level
        if wanted in LEVELS and LEVELS.index(level) >= LEVELS.index(wanted) and self.channel is not None:
            await self.channel.notify("notifications/message", {"level": level, "data": data})

    def require(self, *capabilities: str) -> None:
        """Raises MCPError when the client has not declared something that the request takes, such as sampling."""
        missing: dict[str, Any] = {name: {} for name in capabilities if self.capabilities.get(name) is None}
        if missing:
            raise missing_capability(missing, self.version)

    async def ask_client(self, method: str, params: Mapping[str, Any]) -> dict[str, Any]:
        """What the client answers to a request, in the era in which that is possible while its own waits.

        Raises MCPError when it cannot be asked that, or answers with an error.
        """
        self.require(CAPABILITY_OF[method])
        if self.channel is None or not self.channel.can_request:
            raise cannot_ask(method)
        return await self.channel.request(method, params)

    def heard(self, reply: Reply) -> Reply:
        """Take in a reply of the pipeline, and return it. Raises Turned where HTTP says so."""
        self.replies.append(reply)
        self.headers = [
            *position_headers(self.incoming.id, reply.offset),
            *quota_headers(reply.quotas),
            *trace_headers(reply.traceparent),
        ]
        if reply.replayed:
            self.headers.append((b"idempotent-replayed", b"true"))
        refusal = reply.refusal
        if refusal is not None:
            if isinstance(refusal, RateLimited) and refusal.retry_after is not None:
                self.headers.append((b"retry-after", b"%d" % max(1, -int(-refusal.retry_after // 1))))
            if refusal.code == "unauthenticated":
                raise Turned(refusal, self.headers)
            if refusal.lacking_scope:
                needed = self.scopes | set(refusal.lacking_scope.split())
                raise Turned(OutOfScope(scope=scope_text(needed)), self.headers)
        return reply


def client_name(info: Any) -> str:
    """What a client calls itself in its `clientInfo`, as far as that can be shown; empty if it says nothing."""
    name = info.get("name") if isinstance(info, Mapping) else None
    return "".join(filter(str.isprintable, name[: 2 * MAX_NAME]))[:MAX_NAME] if isinstance(name, str) else ""
