"""What telemetry costs: the same work on a server that counts and times it and on one that does not, in turns; and on
one whose receivers take connections and never read, beside one that has none."""

import socket
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from http.client import HTTPConnection
from statistics import median

import psutil

from benchmarks import content
from benchmarks.cases.fanout import FOLLOWERS, PIPELINED, SOCKET, SUBSCRIBE, SUBSCRIBED
from benchmarks.cases.gateway import Way
from benchmarks.figures import Figure
from benchmarks.load import Measured, followers, http
from benchmarks.run import SQLITE, Run
from benchmarks.server import Server

ROUNDS = 5
KEYS = 100
CONNECTIONS = 32
CHANGES_PER_SECOND = 200
UNTOLD = {"DJANGO_SETTINGS_MODULE": "benchmarks.untold"}

TURNS = 16
"""How many measurements long two servers are asked in turns."""

Work = Callable[[Run, Server, str], Measured]


def telemetry(run: Run) -> None:
    """Authenticated reads of 500 bytes, and changes to a thousand followers, by CPU of the web process."""
    with run.erlmcp(SQLITE) as told, run.erlmcp(SQLITE, UNTOLD) as untold:
        servers = {"with telemetry": told, "without": untold}
        tokens = {name: server.login() for name, server in servers.items()}
        for name, server in servers.items():
            server.fill(range(KEYS), tokens[name])
            server.rest()
        for case, work, counted in (
            ("read 500 bytes, told of", _read, "requests"),
            (f"{FOLLOWERS:,} followers, {CHANGES_PER_SECOND}/s, told of", _follow, "events"),
        ):
            rounds = []
            for _ in range(ROUNDS):
                measured = {name: work(run, server, tokens[name]) for name, server in servers.items()}
                rounds.append({name: of[counted] / of.cpu["web"] for name, of in measured.items()})
            for name in servers:
                # in turns, as what else the machine does happens to both
                also = {"of without": median(one[name] / one["without"] for one in rounds)}
                per_cpu = median(one[name] for one in rounds)
                run.add(Figure(case=case, server=f"erlmcp, {SQLITE}, {name}", per_cpu_s=per_cpu, also=also))
    _beside_black_holes(run)


def _beside_black_holes(run: Run) -> None:
    """Times of reads with a collector and a Graphite that never read, where every request is traced.

    One read of each server in turn: what else happens on the machine happens to both.
    """
    with _black_hole() as port:
        variables = {
            "GRAPHITE_URL": f"graphite://127.0.0.1:{port}",
            "OTEL_EXPORTER_OTLP_ENDPOINT": f"http://127.0.0.1:{port}",
            "OTEL_TRACES_SAMPLER_ARG": "1",
        }
        with run.erlmcp(SQLITE) as alone, run.erlmcp(SQLITE, variables) as beside:
            ways = []
            for name, server in (("no receiver", alone), ("receivers that never read", beside)):
                token = server.login()
                server.fill(range(KEYS), token)
                # the queue of traces is full then
                _read(run, server, token)
                connection = HTTPConnection("127.0.0.1", server.port, timeout=30)
                ways.append((Way(name, connection, token), server, _memory(server)))
            for _, server, _ in ways:
                server.rest()
            until = time.monotonic() + TURNS * run.seconds
            while time.monotonic() < until:
                for way, *_ in ways:
                    way.read()
            first = ways[0][0]
            for way, server, before in ways:
                p50, p99 = way.quantile(0.5), way.quantile(0.99)
                also = {
                    "p99 of no receiver's": p99 / first.quantile(0.99),
                    "p50 of no receiver's": p50 / first.quantile(0.5),
                    "grown by, MB": (_memory(server) - before) / 1e6,
                }
                run.add(
                    Figure(
                        case="read 500 bytes, one at a time, in turns",
                        server=f"erlmcp, {SQLITE}, {way.name}",
                        p50_ms=p50,
                        p99_ms=p99,
                        also=also,
                        note=f"{len(way.took):,} reads",
                    )
                )


@contextmanager
def _black_hole() -> Iterator[int]:
    """The port of who takes connections and never reads: the system takes them for a listener that does nothing."""
    with socket.socket() as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        listener.bind(("127.0.0.1", 0))
        listener.listen(1024)
        yield listener.getsockname()[1]


def _memory(server: Server) -> int:
    """Resident bytes of all its processes."""
    root = psutil.Process(server.pid)
    return sum(process.memory_info().rss for process in (root, *root.children(recursive=True)))


def _read(run: Run, server: Server, token: str) -> Measured:
    return http(
        port=server.port,
        connections=CONNECTIONS,
        path=f"/api/v1/resources/{content.AUTHORITY}/{content.path('%k')}",
        token=token,
        watched=server.watched,
        keys=KEYS,
        seconds=run.seconds,
    )


def _follow(run: Run, server: Server, token: str) -> Measured:
    return followers(
        port=server.port,
        path=SOCKET,
        count=FOLLOWERS,
        watched=server.watched,
        token=token,
        hello=SUBSCRIBE,
        expect=SUBSCRIBED,
        publishing=replace(PIPELINED, rate=CHANGES_PER_SECOND, seconds=run.seconds),
    )
