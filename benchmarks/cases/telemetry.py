"""What telemetry costs: the same work on a server that counts and times it and on one that does not, in turns; and on
one whose receivers take connections and never read, beside one that has none."""

import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from statistics import median

import psutil

from benchmarks import content
from benchmarks.cases.fanout import FOLLOWERS, PIPELINED, SOCKET, SUBSCRIBE, SUBSCRIBED
from benchmarks.figures import Figure
from benchmarks.load import Measured, followers, http
from benchmarks.run import SQLITE, Run
from benchmarks.server import Server

ROUNDS = 5
KEYS = 100
CONNECTIONS = 32
CHANGES_PER_SECOND = 200
UNTOLD = {"DJANGO_SETTINGS_MODULE": "benchmarks.untold"}

IN_A_ROW = 4
"""Connections where times are compared: few enough that requests seldom wait for each other."""

PAIRS = 12
"""How often the times of both servers are taken, each a measurement long."""

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
            best = dict.fromkeys(servers, 0.0)
            for name in list(servers) * ROUNDS:
                measured = work(run, servers[name], tokens[name])
                best[name] = max(best[name], measured[counted] / measured.cpu["web"])
            for name, per_cpu in best.items():
                also = {"of without": per_cpu / best["without"]}
                run.add(Figure(case=case, server=f"erlmcp, {SQLITE}, {name}", per_cpu_s=per_cpu, also=also))
    _beside_black_holes(run)


def _beside_black_holes(run: Run) -> None:
    """Times of reads with a collector and a Graphite that never read, of traces and metrics, as often as is usual.

    The median of the rounds, which alternate in who comes first: what else happens on the machine falls out.
    """
    with _black_hole() as port:
        variables = {
            "GRAPHITE_URL": f"graphite://127.0.0.1:{port}",
            "OTEL_EXPORTER_OTLP_ENDPOINT": f"http://127.0.0.1:{port}",
        }
        with run.erlmcp(SQLITE) as alone, run.erlmcp(SQLITE, variables) as beside:
            servers = {"no receiver": alone, "receivers that never read": beside}
            tokens = {name: server.login() for name, server in servers.items()}
            for name, server in servers.items():
                server.fill(range(KEYS), tokens[name])
                _read(run, server, tokens[name], IN_A_ROW)
            before = {name: _memory(server) for name, server in servers.items()}
            p50: dict[str, list[float]] = {name: [] for name in servers}
            p99: dict[str, list[float]] = {name: [] for name in servers}
            for number in range(PAIRS):
                for name in sorted(servers, reverse=bool(number % 2)):
                    servers[name].rest()
                    measured = _read(run, servers[name], tokens[name], IN_A_ROW)
                    p50[name].append(measured["p50_ms"])
                    p99[name].append(measured["p99_ms"])
            for name, server in servers.items():
                also = {
                    "p99 of no receiver's": median(p99[name]) / median(p99["no receiver"]),
                    "p50 of no receiver's": median(p50[name]) / median(p50["no receiver"]),
                    "grown by, MB": (_memory(server) - before[name]) / 1e6,
                }
                run.add(
                    Figure(
                        case=f"read 500 bytes, {IN_A_ROW} at a time",
                        server=f"erlmcp, {SQLITE}, {name}",
                        p50_ms=median(p50[name]),
                        p99_ms=median(p99[name]),
                        also=also,
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


def _read(run: Run, server: Server, token: str, connections: int = CONNECTIONS) -> Measured:
    return http(
        port=server.port,
        connections=connections,
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
