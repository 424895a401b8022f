"""A thousand listeners of MCP that are told of each change of one resource; beside as many event streams of ours."""

import json
from typing import Any

from benchmarks import content
from benchmarks.cases.mcp import ENVELOPE, MODERN
from benchmarks.figures import Figure
from benchmarks.load import in_python
from benchmarks.run import Run

LISTENERS, RATE, ROUNDS = 1_000, 20, 2


def listeners(run: Run) -> None:
    """Listeners and event streams in turns on one server, the better round of each."""
    count = LISTENERS // run.scale
    for store in run.stores:
        with run.erlmcp(store, {"MCP_LISTENS_PER_USER": str(LISTENERS)}) as server:
            token = server.login()
            server.fill([0], token)
            watched = {tree.label: tree.pid for tree in server.watched}
            common = {"port": server.port, "watched": watched, "streams": count, "rate": RATE, "seconds": run.seconds}
            common["write"] = _request("PUT", f"/api/v1/resources/{content.AUTHORITY}/{content.path(0)}", token, CHANGE)
            best: dict[str, dict[str, Any]] = {}
            for name, task in {"MCP": _listen(token), "event streams": _stream(token)}.items():
                for _ in range(ROUNDS):
                    server.rest()
                    measured = in_python("stream_load", {**common, **task})
                    if name not in best or measured["p99_ms"] < best[name]["p99_ms"]:
                        best[name] = measured
            for name, measured in best.items():
                of_streams = measured["p99_ms"] / best["event streams"]["p99_ms"]
                run.add(
                    _figure(
                        f"{count:,} listeners of one URI, {RATE}/s", f"erlmcp, {store}, {name}", measured, of_streams
                    )
                )


CHANGE = {"content": content.content(0)}


def _listen(token: str) -> dict[str, str]:
    params = {"notifications": {"resourceSubscriptions": [content.uri(0)]}, "_meta": ENVELOPE}
    message = {"jsonrpc": "2.0", "id": 1, "method": "subscriptions/listen", "params": params}
    headers = {"MCP-Protocol-Version": MODERN, "Mcp-Method": "subscriptions/listen"}
    headers["Accept"] = "application/json, text/event-stream"
    return {
        "request": _request("POST", "/mcp", token, message, headers),
        "opened": "notifications/subscriptions/acknowledged",
        "version": r'"io\.erlmcp/version":(\d+)',
    }


def _stream(token: str) -> dict[str, str]:
    return {
        "request": _request("GET", f"/api/v1/events/stream?uri={content.uri(0)}", token),
        "opened": "event: bookmark",
        "version": r'"offset":\d+,"version":(\d+),"data"',
    }


def _request(verb: str, path: str, token: str, body: Any = None, headers: dict[str, str] | None = None) -> str:
    data = "" if body is None else json.dumps(body)
    told = {"Host": "127.0.0.1", "Authorization": f"Bearer {token}", **(headers or {})}
    told |= {"Content-Type": "application/json", "Content-Length": str(len(data))} if data else {}
    return "\r\n".join([f"{verb} {path} HTTP/1.1", *(f"{name}: {value}" for name, value in told.items()), "", data])


def _figure(case: str, server: str, measured: dict[str, Any], of_streams: float) -> Figure:
    cpu = measured["cpu"]
    ours = sum(seconds for name, seconds in cpu.items() if not name.startswith("postgres"))
    return Figure(
        case=case,
        server=server,
        per_s=measured["count"] / measured["seconds"],
        per_cpu_s=measured["count"] / ours,
        p50_ms=measured["p50_ms"],
        p99_ms=measured["p99_ms"],
        also={"p99 of event streams'": of_streams, "most ms": measured["most_ms"]},
        cpu=cpu,
    )
