"""MCP: authenticated reads of 500 bytes, of both eras; beside servers that do nothing but read."""

import json
import urllib.request
from collections.abc import Mapping, Sequence

from benchmarks import content
from benchmarks.figures import Figure
from benchmarks.load import Measured, Watched, http
from benchmarks.peers import servers
from benchmarks.run import Run

KEYS = 100
PATH = "/mcp"
MODERN, LEGACY = "2026-07-28", "2025-11-25"
PREFIX = "io.modelcontextprotocol/"
ENVELOPE = {
    PREFIX + "protocolVersion": MODERN,
    PREFIX + "clientCapabilities": {},
    PREFIX + "clientInfo": {"name": "bench", "version": "1"},
}
ACCEPTS = {"Accept": "application/json, text/event-stream"}
NO_TOKEN = "none"


def mcp(run: Run) -> None:
    """Ours on each store, then the peers; each in both eras."""
    for store in run.stores:
        with run.erlmcp(store) as server:
            token = server.login()
            server.fill(range(KEYS), token)
            _both(run, f"erlmcp, {store}, audited", server.port, token, server.watched)
    for kind, name in (("sdk", "SDK's low-level server, JSON"), ("fastmcp", "FastMCP, JSON")):
        with servers.mcp(run.fresh_folder(kind), kind) as peer:
            _both(run, name, peer.port, NO_TOKEN, [peer.watched])


def _both(run: Run, name: str, port: int, token: str, watched: Sequence[Watched]) -> None:
    body = _read({"uri": "URI", "_meta": ENVELOPE})
    named = {"MCP-Protocol-Version": MODERN, "Mcp-Method": "resources/read", "Mcp-Name": content.uri("%k")}
    run.add(_figure(MODERN, name, _ask(run, port, token, watched, body, named)))
    session = _session(port, token)
    body = _read({"uri": "URI"})
    named = {"MCP-Protocol-Version": LEGACY, "Mcp-Session-Id": session.replace("%", "%%")}
    run.add(_figure(LEGACY, name, _ask(run, port, token, watched, body, named)))


def _ask(
    run: Run, port: int, token: str, watched: Sequence[Watched], body: str, headers: Mapping[str, str]
) -> Measured:
    return http(
        port=port,
        path=PATH,
        method="POST",
        body=body,
        token=token,
        headers={**ACCEPTS, **headers},
        watched=watched,
        keys=KEYS,
        seconds=run.seconds,
    )


def _read(params: Mapping[str, object]) -> str:
    """The template of a read: no two requests under way have the same id."""
    message = content.template({**_message(0, "resources/read"), "params": params})
    return message.replace("URI", content.uri("%k")).replace('"id":0', '"id":%i')


def _message(id: int, method: str) -> dict[str, object]:
    return {"jsonrpc": "2.0", "id": id, "method": method}


def _session(port: int, token: str) -> str:
    """The id of a new session of the era that has them."""
    client = {"name": "bench", "version": "1"}
    params = {"protocolVersion": LEGACY, "capabilities": {}, "clientInfo": client}
    _, session = _post(port, token, {**_message(0, "initialize"), "params": params}, {})
    told = {"Mcp-Session-Id": session, "MCP-Protocol-Version": LEGACY}
    _post(port, token, {"jsonrpc": "2.0", "method": "notifications/initialized"}, told)
    return session


def _post(port: int, token: str, message: Mapping[str, object], headers: Mapping[str, str]) -> tuple[bytes, str]:
    told = {"Content-Type": "application/json", "Authorization": f"Bearer {token}", **ACCEPTS, **headers}
    request = urllib.request.Request(f"http://127.0.0.1:{port}{PATH}", json.dumps(message).encode(), told)
    with urllib.request.urlopen(request, timeout=60) as answer:
        return answer.read(), answer.headers.get("Mcp-Session-Id") or ""


def _figure(version: str, server: str, measured: Measured) -> Figure:
    cpu = measured.cpu
    return Figure(
        case=f"MCP {version}: read 500 bytes",
        server=server,
        per_s=measured["per_s"],
        per_cpu_s=measured.per_server_cpu(measured["requests"]),
        p50_ms=measured["p50_ms"],
        p99_ms=measured["p99_ms"],
        note=measured.client_note,
        also={"of the web process": measured["requests"] / cpu["web"]} if "web" in cpu else {},
        cpu=cpu,
    )
