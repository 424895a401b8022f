"""Requests to `/mcp` through the ASGI application of this process, each header as it is sent."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import orjson

from erlmcp_site.asgi import application
from sessions_app.actions.tokens import log_in
from sessions_app.scopes import parse_scope
from tests.sessions.conftest import PASSWORD, entry
from tests.stack.mcp_client import VERSION, envelope, headers_of

HOST = "localhost"

Lines = list[tuple[str, str]]


@dataclass
class Answered:
    """An answer; of headers with one name the last."""

    status: int = 0
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""

    @property
    def said(self) -> Any:
        return orjson.loads(self.body)

    @property
    def code(self) -> int:
        """The code of the JSON-RPC error."""
        code: int = self.said["error"]["code"]
        return code


async def ask(
    verb: str,
    path: str,
    lines: Iterable[tuple[str, str]] = (),
    chunks: Iterable[bytes] = (b"",),
    *,
    scheme: str = "http",
    query: str = "",
    peer: str = "127.0.0.1",
    host: str | None = HOST,
) -> Answered:
    """The answer to a request. The body comes in `chunks`, and then nothing more."""
    own = [] if host is None else [("host", host)]
    scope = {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": verb,
        "scheme": scheme,
        "path": path,
        "raw_path": path.encode(),
        "query_string": query.encode(),
        "root_path": "",
        "headers": [(name.lower().encode(), value.encode("latin-1")) for name, value in [*own, *lines]],
        "client": (peer, 50000),
        "server": ("127.0.0.1", 80),
        "state": {},
    }
    waiting = list(chunks)
    answered = Answered()

    async def receive() -> Mapping[str, Any]:
        if not waiting:
            return {"type": "http.disconnect"}
        return {"type": "http.request", "body": waiting.pop(0), "more_body": bool(waiting)}

    async def send(message: Mapping[str, Any]) -> None:
        if message["type"] == "http.response.start":
            answered.status = message["status"]
            answered.headers = {name.decode(): value.decode("latin-1") for name, value in message["headers"]}
        else:
            answered.body += message.get("body", b"")

    await application(scope, receive, send)
    return answered


async def post(
    message: Any,
    token: str | None,
    headers: Mapping[str, str | None] | None = None,
    extra: Lines | None = None,
    **more: Any,
) -> Answered:
    """Post a message with the headers that belong to it; `headers` replaces some, None leaves one out."""
    named: dict[str, str | None] = {**headers_of(message), **(headers or {})}
    lines = [(name, value) for name, value in named.items() if value is not None] + (extra or [])
    if token is not None:
        lines.append(("Authorization", f"Bearer {token}"))
    body = message if isinstance(message, bytes) else orjson.dumps(message)
    return await ask("POST", "/mcp", lines, [body], **more)


def message(method: str, params: Mapping[str, Any] | None = None, id: Any = 1, **meta: Any) -> dict[str, Any]:
    """A request of the modern era; `meta` replaces what stands in its envelope."""
    return {"jsonrpc": "2.0", "id": id, "method": method, "params": {**(params or {}), "_meta": envelope() | meta}}


async def token_of(name: str, scope: str | None = None) -> str:
    """An access token of a new login."""
    scopes = None if scope is None else parse_scope(scope)
    return (await log_in(name, PASSWORD, entry, scopes=scopes)).access


__all__ = ["HOST", "VERSION", "Answered", "ask", "message", "post", "token_of"]
