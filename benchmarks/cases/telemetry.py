"""What telemetry costs: the same work on a server that counts and times it and on one that does not, in turns."""

from collections.abc import Callable
from dataclasses import replace

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
