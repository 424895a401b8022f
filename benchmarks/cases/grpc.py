"""gRPC: authenticated reads of 500 bytes, and a hundred streams of Follow; beside an echo that only knows a token.

The client is Python as well, and takes as much CPU as the server: what counts is the figure per CPU-second.
"""

import json
import subprocess
import sys
from typing import Any

from benchmarks.figures import Figure
from benchmarks.load import LoadFailed
from benchmarks.peers import grpc_echo, servers
from benchmarks.processes import LOAD_CORE, ROOT, free_port, pinned
from benchmarks.run import Run

KEYS, AT_ONCE = 100, 32
STREAMS, EACH = 100, 50
READ = "gRPC: read 500 bytes"
FOLLOW = f"gRPC: {STREAMS} streams of one URI, full"


def grpc(run: Run) -> None:
    """Reads, then streams."""
    for store in run.stores:
        port = free_port()
        with run.erlmcp(store, {"GRPC_PORT": str(port)}) as server:
            token = server.login()
            server.fill(range(KEYS), token)
            server.rest()
            watched = {tree.label: tree.pid for tree in server.watched}
            common = {"address": f"127.0.0.1:{port}", "token": token, "watched": watched, "seconds": run.seconds}
            read = {"way": "unary", "path": "/erlmcp.v1.Resources/Read", "keys": KEYS, "at_once": AT_ONCE}
            run.add(_figure(READ, f"erlmcp, {store}, audited", _load({**common, **read})))
            server.rest()
            followed = _load({**common, "way": "follow", "streams": STREAMS, "each": EACH})
            run.add(_figure(FOLLOW, f"erlmcp, {store}, batches of {EACH}", followed))
    with servers.echo(run.fresh_folder("echo")) as peer:
        echo = {"address": f"127.0.0.1:{peer.port}", "token": grpc_echo.TOKEN.removeprefix("Bearer ")}
        echo |= {"watched": {"server": peer.watched.pid}, "seconds": run.seconds}
        measured = _load({**echo, "way": "unary", "path": "/echo/Echo", "keys": None, "at_once": AT_ONCE})
        run.add(_figure(READ, "grpc.aio echo, token cache, no audit", measured))


def _load(task: dict[str, Any]) -> dict[str, Any]:
    command = pinned(LOAD_CORE, [sys.executable, "-m", "benchmarks.grpc_load"])
    done = subprocess.run(command, cwd=ROOT, input=json.dumps(task), capture_output=True, text=True, timeout=180)
    if done.returncode:
        raise LoadFailed(done.stderr[-3000:])
    measured: dict[str, Any] = json.loads(done.stdout)
    return measured


def _figure(case: str, server: str, measured: dict[str, Any]) -> Figure:
    cpu = measured["cpu"]
    ours = sum(seconds for name, seconds in cpu.items() if not name.startswith("postgres"))
    return Figure(
        case=case,
        server=server,
        per_s=measured["count"] / measured["seconds"],
        per_cpu_s=measured["count"] / ours,
        p50_ms=measured.get("p50_ms"),
        p99_ms=measured.get("p99_ms"),
        also={"of the web process": measured["count"] / cpu["web"]} if "web" in cpu else {},
        cpu=cpu,
    )
