"""What an audit entry costs: the request that leaves it, and the worker that takes it to the trail."""

import os
import subprocess
import sys
from collections.abc import Mapping

import psutil

from benchmarks.cases.requests import KEYS, PATH
from benchmarks.figures import Figure
from benchmarks.load import http
from benchmarks.processes import LOAD_CORE, SERVER_CORE, NotReady, pinned, running, wait_until
from benchmarks.redis import redis
from benchmarks.run import POSTGRESQL, Run
from benchmarks.server import Server, erlmcp

ASKED, BEHIND = "an audit entry, to the request", "an audit entry, behind the request"
READS = 60_000
SAVES = 4_000
MESSAGES = 4_000
WRITTEN_WITHIN = 120.0
PEERS = "benchmarks.peers.audit"


def audit(run: Run) -> None:
    """The CPU of reads with and without entries, and of the worker per entry; beside django-auditlog and Celery."""
    _ours(run)
    environment = os.environ | {"PEER_DATABASE": run.databases.fresh(), "PEER_REDIS": ""}
    plain, watched = (_work(environment, kind, SAVES // run.scale) for kind in ("plain", "auditlog"))
    run.add(Figure(case=ASKED, server="django-auditlog, a save", also={"CPU µs": watched - plain}))
    _celery(run, environment)


def _ours(run: Run) -> None:
    per_read = {}
    count = READS // run.scale
    for reads in ("off", "durable"):
        database, folder = run.databases.fresh(), run.fresh_folder("erlmcp")
        with erlmcp(folder, database=database, variables={"AUDIT_READS": reads}) as server:
            token = server.login()
            server.fill(range(KEYS), token)
            _get(server, token, 2_000)
            server.rest()
            before = _worker_seconds(server)
            per_read[reads] = 1e6 * _get(server, token, count) / count
            server.rest(60)
            worker = _worker_seconds(server) - before
    us = {"CPU µs": per_read["durable"] - per_read["off"]}
    run.add(Figure(case=ASKED, server=f"erlmcp, {POSTGRESQL}, a durable read", also=us))
    also = {"CPU µs": 1e6 * worker / count}
    run.add(Figure(case=BEHIND, server=f"erlmcp, {POSTGRESQL}, chained", per_cpu_s=count / worker, also=also))


def _get(server: Server, token: str, count: int) -> float:
    """CPU seconds of the web process for so many reads."""
    measured = http(
        port=server.port,
        path=PATH,
        token=token,
        headers={"Read-Consistency": "eventual"},
        watched=server.watched,
        keys=KEYS,
        requests=count,
    )
    return measured.cpu["web"]


def _worker_seconds(server: Server) -> float:
    """CPU seconds of the Celery worker so far."""
    (worker,) = (tree for tree in server.watched if tree.label == "worker")
    return sum(psutil.Process(worker.pid).cpu_times()[:2])


def _celery(run: Run, environment: Mapping[str, str]) -> None:
    folder, count = run.fresh_folder("celery"), MESSAGES // run.scale
    with redis(folder) as url:
        environment = {**environment, "PEER_REDIS": url}
        command = [sys.executable, "-m", "celery", "--quiet", "--app", f"{PEERS}.worker", "worker", "--pool", "solo"]
        output = folder / "worker.log"
        with running(pinned(SERVER_CORE, command), output=output, environment=environment) as worker:
            sent = _work(environment, "send", 2)
            wait_until(lambda: not _waiting(environment, 2), worker, output, within=WRITTEN_WITHIN, every=0.5)
            before = sum(psutil.Process(worker.pid).cpu_times()[:2])
            sent = _work(environment, "send", count, LOAD_CORE)
            wait_until(lambda: not _waiting(environment, 2 + count), worker, output, within=WRITTEN_WITHIN, every=0.5)
            seconds = sum(psutil.Process(worker.pid).cpu_times()[:2]) - before
    run.add(Figure(case=ASKED, server="Celery, a message each", also={"CPU µs": sent}))
    also = {"CPU µs": 1e6 * seconds / count}
    run.add(Figure(case=BEHIND, server="Celery, a message each", per_cpu_s=count / seconds, also=also))


def _work(environment: Mapping[str, str], kind: str, count: int, core: int = SERVER_CORE) -> float:
    """What a peer's work prints."""
    command = pinned(core, [sys.executable, "-m", f"{PEERS}.work", kind, str(count)])
    done = subprocess.run(command, env=dict(environment), capture_output=True, text=True)
    if done.returncode:
        raise NotReady(f"{kind}: {done.stderr[-2000:]}")
    return float(done.stdout)


def _waiting(environment: Mapping[str, str], count: int) -> bool:
    return _work(environment, "waiting", count, LOAD_CORE) > 0
