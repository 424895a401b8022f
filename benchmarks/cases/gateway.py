"""What the gateway adds to a read: one client asks the node and, in turns, through HAProxy and through nginx.

In turns, so that what else happens on the machine happens to all of them. One request is under way at a time: this is
the way through, not a queue.
"""

import ssl
import time
from contextlib import ExitStack
from dataclasses import dataclass, field
from http.client import HTTPConnection, HTTPSConnection

import psutil

from benchmarks import content
from benchmarks.figures import Figure
from benchmarks.gateway import KINDS
from benchmarks.gateway import gateway as started
from benchmarks.load import LoadFailed
from benchmarks.run import POSTGRESQL, Run

CASE = "gateway: read 500 bytes, in turns"
PATH = f"/api/v1/resources/{content.AUTHORITY}/{content.path(0)}"
ROUNDS = 6
WARM_UP = 200


@dataclass
class Way:
    """A way to the node, on one connection that is kept, and how long each read took, in milliseconds."""

    name: str
    connection: HTTPConnection
    token: str
    pid: int | None = None
    took: list[float] = field(default_factory=list)

    def read(self) -> None:
        """Raises LoadFailed for another answer than 200."""
        began = time.perf_counter()
        self.connection.request("GET", PATH, headers={"Authorization": f"Bearer {self.token}"})
        answer = self.connection.getresponse()
        answer.read()
        if answer.status != 200:
            raise LoadFailed(f"{self.name}: {answer.status}")
        self.took.append(1000 * (time.perf_counter() - began))

    def cpu_seconds(self) -> float:
        """User and system time of the gateway's processes so far."""
        if self.pid is None:
            return 0.0
        processes = [psutil.Process(self.pid), *psutil.Process(self.pid).children(recursive=True)]
        return sum(sum(process.cpu_times()[:2]) for process in processes)

    def quantile(self, share: float) -> float:
        ordered = sorted(self.took)
        return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


def gateway(run: Run) -> None:
    """Reads on the node itself and through each gateway, over TLS and HTTP/1.1."""
    with run.erlmcp(POSTGRESQL) as server, ExitStack() as parts:
        token = server.login()
        server.fill(range(1), token)
        direct = Way("no gateway, plain HTTP", HTTPConnection("127.0.0.1", server.port, timeout=30), token)
        ways = [direct]
        for kind in KINDS:
            edge = parts.enter_context(started(kind, run.fresh_folder(kind), server.port))
            tls = ssl.create_default_context()
            tls.check_hostname, tls.verify_mode = False, ssl.CERT_NONE
            ways.append(
                Way(kind, HTTPSConnection("127.0.0.1", edge.port, timeout=30, context=tls), token, edge.watched.pid)
            )
        server.rest()
        for _ in range(WARM_UP):
            for way in ways:
                way.read()
        for way in ways:
            way.took.clear()
        before = {way.name: way.cpu_seconds() for way in ways}
        until = time.monotonic() + ROUNDS * run.seconds
        while time.monotonic() < until:
            for way in ways:
                way.read()
        for way in ways:
            p50, p99 = way.quantile(0.5), way.quantile(0.99)
            cpu = way.cpu_seconds() - before[way.name]
            adds = {
                "its CPU a read, µs": 1e6 * cpu / len(way.took),
                "adds at p50, ms": p50 - direct.quantile(0.5),
                "adds at p99, ms": p99 - direct.quantile(0.99),
            }
            run.add(
                Figure(
                    case=CASE,
                    server=f"erlmcp, {POSTGRESQL}, {way.name}",
                    p50_ms=p50,
                    p99_ms=p99,
                    also={} if way is direct else adds,
                    note=f"{len(way.took):,} reads",
                )
            )
