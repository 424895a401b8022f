"""The peers, started on the server's core and watched like ours."""

import json
import os
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from benchmarks.load import Watched
from benchmarks.native import program
from benchmarks.processes import SERVER_CORE, free_port, listens, pinned, running, wait_until

READY_SECONDS = 30.0
USER, PASSWORD = "reader", "only for figures"


@dataclass(frozen=True, slots=True)
class Peer:
    """A running peer."""

    port: int
    watched: Watched
    publish_port: int = 0
    token: str = ""
    start_seconds: float = 0.0


@contextmanager
def drf(folder: Path, database: str, *, rows: int, pool: bool) -> Iterator[Peer]:
    """DRF's ModelViewSet behind simplejwt on uvicorn, with so many rows, ids from 0."""
    environment = os.environ | {"PEER_DATABASE": database, "PEER_POOL": "1" if pool else "0"}
    prepare = [sys.executable, "-m", "benchmarks.peers.drf.prepare", USER, PASSWORD, str(rows)]
    subprocess.run(prepare, check=True, env=environment)
    port = free_port()
    command = [sys.executable, "-m", "uvicorn", "benchmarks.peers.drf.asgi:application", "--port", str(port)]
    command += [
        "--loop",
        "uvloop",
        "--http",
        "httptools",
        "--lifespan",
        "off",
        "--no-access-log",
        "--log-level",
        "warning",
    ]
    output = folder / "drf.log"
    with running(pinned(SERVER_CORE, command), output=output, environment=environment) as process:
        took = wait_until(lambda: listens(port), process, output, within=READY_SECONDS)
        yield Peer(port, Watched("server", process.pid), token=_token(port), start_seconds=took)


@contextmanager
def broadcast(folder: Path) -> Iterator[Peer]:
    """The `websockets` broadcast server."""
    port = free_port()
    command = [sys.executable, "-m", "benchmarks.peers.broadcast", str(port)]
    with _started(command, folder / "broadcast.log", port) as watched:
        yield Peer(port, watched)


@contextmanager
def echo(folder: Path) -> Iterator[Peer]:
    """The grpc.aio server that sends back what it was sent."""
    port = free_port()
    command = [sys.executable, "-m", "benchmarks.peers.grpc_echo", str(port)]
    with _started(command, folder / "echo.log", port) as watched:
        yield Peer(port, watched)


@contextmanager
def mcp(folder: Path, kind: str) -> Iterator[Peer]:
    """A server of MCP that holds the resources of the reads in memory: of the SDK ("sdk") or of FastMCP ("fastmcp")."""
    port = free_port()
    command = [sys.executable, "-m", "benchmarks.peers.mcp_server", kind, str(port)]
    with _started(command, folder / f"{kind}.log", port) as watched:
        yield Peer(port, watched)


@contextmanager
def floor(folder: Path, *, coalesce: int) -> Iterator[Peer]:
    """The C server that only writes ready frames: what the machine allows."""
    port, publish_port = free_port(), free_port()
    command = [str(program("epserver")), str(port), str(publish_port), str(coalesce)]
    with _started(command, folder / "epserver.log", port) as watched:
        yield Peer(port, watched, publish_port=publish_port)


@contextmanager
def _started(command: list[str], output: Path, port: int) -> Iterator[Watched]:
    with running(pinned(SERVER_CORE, command), output=output, environment=os.environ) as process:
        wait_until(lambda: listens(port), process, output, within=READY_SECONDS)
        yield Watched("server", process.pid)


def _token(port: int) -> str:
    request = urllib.request.Request(
        f"http://127.0.0.1:{port}/api/token/",
        data=json.dumps({"username": USER, "password": PASSWORD}).encode(),
        headers={"Content-Type": "application/json"},
    )
    with urllib.request.urlopen(request, timeout=30) as answer:
        return str(json.load(answer)["access"])
