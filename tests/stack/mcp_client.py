"""A client of MCP's modern era (2026-07-28) that says what it is told to say, wrong things included."""

import itertools
import ssl
from collections.abc import Mapping
from types import TracebackType
from typing import Any, Self

import httpx
import orjson

VERSION = "2026-07-28"
NAMED = {"tools/call": "name", "prompts/get": "name", "resources/read": "uri"}
CLIENT = {"name": "tests", "version": "1"}


class Mcp:
    """One caller. `base` is the node's URL, `token` the access token; over TLS, `tls` says whom to trust."""

    def __init__(self, base: str, token: str | None = None, *, tls: ssl.SSLContext | None = None) -> None:
        own = {"Authorization": f"Bearer {token}"} if token else {}
        self.http = httpx.AsyncClient(
            base_url=base,
            headers=own,
            timeout=httpx.Timeout(60),
            trust_env=False,
            verify=tls or base.startswith("https"),
        )
        self._ids = itertools.count(1)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.http.aclose()

    def message(self, method: str, params: Mapping[str, Any] | None = None, **meta: Any) -> dict[str, Any]:
        """A request, with the envelope that every one has."""
        return {
            "jsonrpc": "2.0",
            "id": next(self._ids),
            "method": method,
            "params": {**(params or {}), "_meta": envelope() | meta},
        }

    async def post(self, message: Any, headers: Mapping[str, str | None] | None = None) -> httpx.Response:
        """Send a message with the headers that belong to it; `headers` replaces some, None leaves one out."""
        named: dict[str, str | None] = {**headers_of(message), **(headers or {})}
        told = {name: value for name, value in named.items() if value is not None}
        body = message if isinstance(message, bytes) else orjson.dumps(message)
        return await self.http.post("/mcp", content=body, headers=told)

    async def send(self, method: str, params: Mapping[str, Any] | None = None, **meta: Any) -> httpx.Response:
        """Send a request."""
        return await self.post(self.message(method, params, **meta))

    async def ask(self, method: str, params: Mapping[str, Any] | None = None, **meta: Any) -> dict[str, Any]:
        """The result of a request. Raises AssertionError for anything else."""
        response = await self.send(method, params, **meta)
        said: dict[str, Any] = response.json()
        assert response.status_code == 200 and "result" in said, response.text
        result: dict[str, Any] = said["result"]
        return result

    async def error(self, method: str, params: Mapping[str, Any] | None = None, **meta: Any) -> dict[str, Any]:
        """The error of a request. Raises AssertionError for a result."""
        said: dict[str, Any] = (await self.send(method, params, **meta)).json()
        assert "error" in said, said
        error: dict[str, Any] = said["error"]
        return error

    async def tool(self, name: str, /, **arguments: Any) -> dict[str, Any]:
        """The result of a tool, which may say that it failed."""
        return await self.ask("tools/call", {"name": name, "arguments": arguments})


def envelope() -> dict[str, Any]:
    """What `_meta` has to hold."""
    return {
        "io.modelcontextprotocol/protocolVersion": VERSION,
        "io.modelcontextprotocol/clientCapabilities": {},
        "io.modelcontextprotocol/clientInfo": CLIENT,
    }


def headers_of(message: Any) -> dict[str, str]:
    """The headers that say what a message says."""
    told = {
        "Content-Type": "application/json",
        "Accept": "application/json, text/event-stream",
        "MCP-Protocol-Version": VERSION,
    }
    if isinstance(message, dict) and isinstance(message.get("method"), str):
        method = message["method"]
        told["Mcp-Method"] = method
        name = (message.get("params") or {}).get(NAMED.get(method, ""))
        if isinstance(name, str):
            told["Mcp-Name"] = name
    return told
