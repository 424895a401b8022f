"""gRPC: authenticated reads of 500 bytes, and a hundred streams of Follow; beside an echo that only knows a token.

The client is Python as well, and takes as much CPU as the server: what counts is the figure per CPU-second.
"""

from collections.abc import Mapping
from typing import Any

from benchmarks.figures import Figure
from benchmarks.load import in_python
from benchmarks.peers import grpc_echo, servers
from benchmarks.processes import free_port
from benchmarks.run import Run

ROUNDS = 3
KEYS, AT_ONCE = 100, 32
STREAMS, EACH = 100, 50
READ = "gRPC: read 500 bytes"
FOLLOW = f"gRPC: {STREAMS} streams of one URI, full"


def grpc(run: Run) -> None:
    """Reads, in turns with the echo, of which the cheapest turn counts; then streams."""
    for store in run.stores:
        port = free_port()
        with run.erlmcp(store, {"GRPC_PORT": str(port)}) as server, servers.echo(run.fresh_folder("echo")) as peer:
            token = server.login()
            server.fill(range(KEYS), token)
            server.rest()
            watched = {tree.label: tree.pid for tree in server.watched}
            common = {"address": f"127.0.0.1:{port}", "token": token, "watched": watched, "seconds": run.seconds}
            read = {"way": "unary", "at_once": AT_ONCE}
            ours = {**common, **read, "path": "/erlmcp.v1.Resources/Read", "keys": KEYS}
            echo = {**read, "path": "/echo/Echo", "keys": None, "seconds": run.seconds}
            echo |= {"address": f"127.0.0.1:{peer.port}", "token": grpc_echo.TOKEN.removeprefix("Bearer ")}
            echo |= {"watched": {"web": peer.watched.pid}}
            turns = [(in_python("grpc_load", ours), in_python("grpc_load", echo)) for _ in range(ROUNDS)]
            best, of_echo = (min(of_one, key=_cpu_each) for of_one in zip(*turns, strict=True))
            run.add(
                _figure(READ, f"erlmcp, {store}, audited", best, {"of the echo": _cpu_each(of_echo) / _cpu_each(best)})
            )
            run.add(_figure(READ, f"grpc.aio echo, token cache, no audit, in turns with {store}", of_echo))
            server.rest()
            followed = in_python("grpc_load", {**common, "way": "follow", "streams": STREAMS, "each": EACH})
            run.add(_figure(FOLLOW, f"erlmcp, {store}, batches of {EACH}", followed))


def _cpu_each(measured: dict[str, Any]) -> float:
    """CPU seconds of the process that answers, for each answer."""
    return float(measured["cpu"]["web"] / measured["count"])


def _figure(case: str, server: str, measured: dict[str, Any], also: Mapping[str, float] | None = None) -> Figure:
    cpu = measured["cpu"]
    ours = sum(seconds for name, seconds in cpu.items() if not name.startswith("postgres"))
    return Figure(
        case=case,
        server=server,
        per_s=measured["count"] / measured["seconds"],
        per_cpu_s=measured["count"] / ours,
        p50_ms=measured.get("p50_ms"),
        p99_ms=measured.get("p99_ms"),
        also={"of the process that answers": 1 / _cpu_each(measured), **(also or {})},
        cpu=cpu,
    )
