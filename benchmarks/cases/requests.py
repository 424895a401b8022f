"""Requests over HTTP, 32 connections: reads and writes of 500 bytes, ours and DRF's.

Ours answer after event and audit entry are committed; DRF has neither.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace

from benchmarks import content
from benchmarks.figures import Figure
from benchmarks.load import Measured, http
from benchmarks.peers import servers
from benchmarks.run import POSTGRESQL, WITH_REDIS, Run
from benchmarks.server import Server

KEYS = 100
CONNECTIONS = 32
ROUNDS = 3
PATH = f"/api/v1/resources/{content.AUTHORITY}/{content.path('%k')}"
BODY = content.template({"content": content.content(0)})
DRF_PATH = "/api/resources/%k/"
DRF_BODY = content.template({"uri": "URI", "content": content.content(0)}).replace("URI", content.uri("%k"))
READ, WRITE = "read 500 bytes", "write 500 bytes"


def reads(run: Run) -> None:
    """Authenticated reads, each audited durably before its answer."""
    for store in run.stores:
        with run.erlmcp(store) as server:
            token = server.login()
            server.fill(range(KEYS), token)
            run.add(_figure(READ, f"erlmcp, {store}, audited", _get(run, server, token)))
    _drf(run, READ, "GET", None)


def consistency(run: Run) -> None:
    """Authenticated reads as consistent as can be asked for, in turns, on the node that wrote what is read.

    A CPU-second is one of the web process here: nothing else has to do with the level.
    """
    for store in (*run.stores, WITH_REDIS):
        with run.erlmcp(store) as server:
            token = server.login()
            server.fill(range(KEYS), token)
            server.rest()
            rounds: dict[str, list[Measured]] = {level: [] for level in ("eventual", "causal", "strong")}
            for level in list(rounds) * ROUNDS:
                headers = {"Read-Consistency": level}
                rounds[level].append(_get(run, server, token, headers))
            eventual = _per_web_cpu(rounds["eventual"])
            for level, measured in rounds.items():
                figure = _figure(f"{READ}, {level}", f"erlmcp, {store}, audited", measured[-1])
                per_cpu = _per_web_cpu(measured)
                run.add(replace(figure, per_cpu_s=per_cpu, also={"of eventual": per_cpu / eventual}))


def workers(run: Run) -> None:
    """The same reads by one web process and by two, on the one core of the server, each with as many connections.

    A CPU-second is one of web processes. What two of them do with it is what each does on a core of its own, as long as
    the database keeps up: so the share of one, doubled, is how much faster two cores are.
    """
    alone = 0.0
    for count in (1, 2):
        with run.erlmcp(WITH_REDIS, {"WEB_WORKERS": str(count)}) as server:
            token = server.login()
            server.fill(range(KEYS), token)
            server.rest()
            before = server.cpu_seconds("web")
            measured = [_get(run, server, token, connections=CONNECTIONS * count) for _ in range(ROUNDS)]
            per_cpu = sum(one["requests"] for one in measured) / (server.cpu_seconds("web") - before)
            alone = alone or per_cpu
            figure = _figure(f"{READ}, {count} web", f"erlmcp, {WITH_REDIS}, audited", measured[-1])
            run.add(replace(figure, per_cpu_s=per_cpu, also={"of one, on two cores": 2 * per_cpu / alone}))


def writes(run: Run) -> None:
    """Authenticated PUTs to a hundred URIs."""
    for store in run.stores:
        with run.erlmcp(store) as server:
            token = server.login()
            server.fill(range(KEYS), token)
            run.add(_figure(WRITE, f"erlmcp, {store}, audited, event", _put(run, server, token, KEYS)))
    _drf(run, WRITE, "PUT", DRF_BODY)


def spread(run: Run) -> None:
    """The same writes over one URI, a hundred and ten thousand."""
    for store in run.stores:
        with run.erlmcp(store) as server:
            token = server.login()
            for keys in (1, 100, 10_000 // run.scale):
                server.fill(range(keys), token)
                server.rest()
                measured = _put(run, server, token, keys)
                run.add(_figure(f"{WRITE}, {keys:,} URIs", f"erlmcp, {store}", measured))


def history(run: Run) -> None:
    """The same writes with a short log behind them and with a long one."""
    lengths = [1_000, 100_000 // run.scale] + [1_000_000] * run.long
    with run.erlmcp(POSTGRESQL) as server:
        token = server.login()
        server.fill(range(KEYS), token)
        for length in lengths:
            server.lengthen_log(length - _head(server, token), token)
            server.rest()
            head = _head(server, token)
            measured = _put(run, server, token, KEYS)
            run.add(_figure(f"{WRITE}, {head:,} events in the log", f"erlmcp, {POSTGRESQL}", measured))


def _get(
    run: Run,
    server: Server,
    token: str,
    headers: Mapping[str, str] | None = None,
    connections: int = CONNECTIONS,
) -> Measured:
    return http(
        port=server.port,
        connections=connections,
        path=PATH,
        token=token,
        headers=headers,
        watched=server.watched,
        keys=KEYS,
        seconds=run.seconds,
    )


def _per_web_cpu(rounds: Sequence[Measured]) -> float:
    """Requests a CPU-second of the web process: what the worker moves in one round is in part of those before."""
    return sum(measured["requests"] for measured in rounds) / sum(measured.cpu["web"] for measured in rounds)


def _put(run: Run, server: Server, token: str, keys: int) -> Measured:
    return http(
        port=server.port,
        path=PATH,
        method="PUT",
        body=BODY,
        token=token,
        watched=server.watched,
        keys=keys,
        seconds=run.seconds,
    )


def _head(server: Server, token: str) -> int:
    """How many events the log has: the offset of a write that is made to learn it."""
    path = f"/api/v1/resources/{content.AUTHORITY}/{content.path('head')}"
    return int(server.ask("PUT", path, {"content": None}, token)["offset"])


def _drf(run: Run, case: str, method: str, body: str | None) -> None:
    for pool in (False, True):
        with servers.drf(run.fresh_folder("drf"), run.databases.fresh(), rows=KEYS, pool=pool) as peer:
            measured = http(
                port=peer.port,
                path=DRF_PATH,
                method=method,
                body=body,
                token=peer.token,
                watched=[peer.watched, run.databases.watched],
                keys=KEYS,
                seconds=run.seconds,
            )
            run.add(_figure(case, "DRF ModelViewSet, simplejwt, PostgreSQL" + (", pool" if pool else ""), measured))


def _figure(case: str, server: str, measured: Measured) -> Figure:
    return Figure(
        case=case,
        server=server,
        per_s=measured["per_s"],
        per_cpu_s=measured.per_server_cpu(measured["requests"]),
        p50_ms=measured["p50_ms"],
        p99_ms=measured["p99_ms"],
        note=measured.client_note,
        cpu=measured.cpu,
    )
