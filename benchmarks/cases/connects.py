"""New sockets at a steady rate, and a crowd at once: connect, authenticate, subscribe."""

from typing import Any

from benchmarks.cases.fanout import SOCKET, SUBSCRIBE, SUBSCRIBED
from benchmarks.figures import Figure
from benchmarks.load import in_python
from benchmarks.run import Run
from benchmarks.server import Server

RATE = 500
CROWD = 2_000


def connects(run: Run) -> None:
    """At the rate that has to be held; then all at once, who wait for their turns or are told to come back."""
    for store in run.stores:
        with run.erlmcp(store) as server:
            token = server.login()
            server.fill([0], token)
            server.rest()
            steady = _load(server, token, count=round(RATE * run.seconds), rate=RATE)
            run.add(_figure(f"{RATE} new sockets/s: connect, authenticate, subscribe", f"erlmcp, {store}", steady))
            server.rest()
            count = CROWD // run.scale
            crowd = _load(server, token, count=count, rate=0)
            run.add(_figure(f"{count:,} new sockets at once", f"erlmcp, {store}", crowd))


def _load(server: Server, token: str, *, count: int, rate: int) -> dict[str, Any]:
    watched = {tree.label: tree.pid for tree in server.watched if tree.label == "web"}
    task = {"port": server.port, "path": SOCKET, "tokens": [token], "hello": SUBSCRIBE.replace("%c", "0")}
    task |= {"expect": SUBSCRIBED, "watched": watched, "count": count, "rate": rate}
    return in_python("connect_load", task)


def _figure(case: str, server: str, measured: dict[str, Any]) -> Figure:
    cpu = sum(measured["cpu"].values())
    busy = measured["client_busy"]
    return Figure(
        case=case,
        server=server,
        per_s=measured["count"] / measured["seconds"],
        per_cpu_s=measured["count"] / cpu,
        p50_ms=measured["p50_ms"],
        p99_ms=measured["p99_ms"],
        also={
            "CPU ms each": cpu * 1000 / measured["count"],
            "s until the last": measured["last_s"],
            "told to come back": measured["refused"],
        },
        note=f"client {busy:.0%} busy" if busy > 0.9 else "",
        cpu=measured["cpu"],
    )
