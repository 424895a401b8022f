"""The load clients, as Python sees them: run on the load core, answer with what they measured."""

import json
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any

from benchmarks.native import program
from benchmarks.processes import LOAD_CORE, ROOT, pinned

POSTGRESQL = "postgresql"
DRAIN_SECONDS = 60


class LoadFailed(Exception):
    """The load client gave up, or the server did not do what it was asked to; the message says what happened."""


@dataclass(frozen=True, slots=True)
class Watched:
    """A process tree whose CPU and memory are measured under a label."""

    label: str
    pid: int


@dataclass(frozen=True, slots=True)
class Measured:
    """One run of a load client, as it reported."""

    report: Mapping[str, Any]

    def __getitem__(self, name: str) -> Any:
        return self.report[name]

    @property
    def cpu(self) -> dict[str, float]:
        """CPU seconds by label."""
        return dict(self.report["cpu"])

    @property
    def server_cpu(self) -> float:
        """CPU seconds of the server, without PostgreSQL."""
        return sum(seconds for label, seconds in self.cpu.items() if label != POSTGRESQL)

    def per_server_cpu(self, operations: float) -> float | None:
        return operations / self.server_cpu if self.server_cpu else None

    @property
    def client_note(self) -> str:
        """A warning when the client was the bottleneck."""
        busy = self.report.get("client_busy", 0)
        return f"client {busy:.0%} busy" if busy > 0.9 else ""


def http(
    *,
    port: int,
    path: str,
    token: str,
    watched: Sequence[Watched],
    method: str = "GET",
    body: str | None = None,
    headers: Mapping[str, str] | None = None,
    connections: int = 32,
    keys: int = 1,
    seconds: float = 3.0,
    warmup: float = 1.0,
    warm_requests: int = 0,
    requests: int | None = None,
) -> Measured:
    """Ask over keep-alive connections for some seconds after a warm-up, or for a number of requests.

    Raises LoadFailed, also when any answer was not 2xx.
    """
    arguments = ["--port", str(port), "--path", path, "--method", method, "--conns", str(connections)]
    arguments += ["--keys", str(keys), "--header", f"Authorization: Bearer {token}"]
    for name, value in (headers or {}).items():
        arguments += ["--header", f"{name}: {value}"]
    if body is not None:
        arguments += ["--header", "Content-Type: application/json", "--body", body]
    if requests is None:
        arguments += ["--duration", str(seconds), "--warmup", str(warmup), "--warm-count", str(warm_requests)]
    else:
        arguments += ["--count", str(requests)]
    measured = _run("httpload", arguments, watched, within=seconds + warmup + 600)
    if measured["refused"]:
        raise LoadFailed(f"{method} {path}: {measured['refused']} requests were refused")
    return measured


@dataclass(frozen=True, slots=True, kw_only=True)
class Publishing:
    """How changes are made while followers listen.

    `template` is one message with %P for the payload and %c for the channel; `item` is one change in it when a message
    holds several. `rate` is changes a second; without one, `window` changes are kept under way.
    """

    template: str
    item: str | None = None
    each: int = 1
    websocket: str | None = None
    port: int | None = None
    rate: float | None = None
    window: float = 20
    seconds: float = 3.0
    bytes: int = 200


def followers(
    *,
    port: int,
    path: str,
    count: int,
    watched: Sequence[Watched],
    channels: int = 1,
    token: str | None = None,
    hello: str | None = None,
    expect: str | None = None,
    marker: str | None = None,
    publishing: Publishing | None = None,
    idle: float = 1.0,
    at_once: int = 128,
) -> Measured:
    """Hold WebSocket followers, and publish to them or stay idle for some seconds.

    `hello` is sent by each after its handshake and `expect` is what each has to hear before it starts. `marker` is
    what a delivery is known by: where the number behind it stands that the payload begins with.
    Raises LoadFailed, also when a follower was lost or a delivery is missing.
    """
    arguments = ["--port", str(port), "--path", path, "--n", str(count), "--channels", str(channels)]
    arguments += ["--wave", str(at_once), "--stamp", '"time":"']
    if token is not None:
        arguments += ["--header", f"Authorization: Bearer {token}"]
    if hello is not None:
        arguments += ["--send", hello]
    if expect is not None:
        arguments += ["--expect", expect]
    if marker is not None:
        arguments += ["--marker", marker]
    if publishing is None:
        arguments += ["--idle", str(idle)]
    else:
        arguments += list(_publisher(publishing))
    measured = _run("wsload", arguments, watched, within=300 + (publishing.seconds if publishing else idle))
    if measured["failed"] or measured["closed"] or (expect is not None and measured["ready"] < count):
        raise LoadFailed(f"{count} followers: {dict(measured.report)}")
    if publishing is not None and (measured["lost"] or measured["pub_err"]):
        raise LoadFailed(f"deliveries are missing: {dict(measured.report)}")
    return measured


def in_python(module: str, task: Mapping[str, Any]) -> dict[str, Any]:
    """Run a load client that is written in Python: its task goes in as JSON, and what it measured comes back so.

    Raises LoadFailed.
    """
    command = pinned(LOAD_CORE, [sys.executable, "-m", f"benchmarks.{module}"])
    done = subprocess.run(command, cwd=ROOT, input=json.dumps(task), capture_output=True, text=True, timeout=180)
    if done.returncode:
        raise LoadFailed(done.stderr[-3000:])
    measured: dict[str, Any] = json.loads(done.stdout)
    return measured


def _publisher(publishing: Publishing) -> Iterator[str]:
    yield from ("--pub", publishing.template, "--per-pub", str(publishing.each), "--payload", str(publishing.bytes))
    yield from ("--duration", str(publishing.seconds), "--timeout", str(DRAIN_SECONDS))
    if publishing.item is not None:
        yield from ("--item", publishing.item)
    if publishing.websocket is not None:
        yield from ("--pub-ws", publishing.websocket, "--pub-silent")
    if publishing.port is not None:
        yield from ("--pub-port", str(publishing.port))
    if publishing.rate is not None:
        yield from ("--rate", str(publishing.rate))
    else:
        yield from ("--window", str(publishing.window))


def _run(name: str, arguments: Sequence[str], watched: Sequence[Watched], *, within: float) -> Measured:
    trees = chain.from_iterable(("--tree", f"{tree.label}:{tree.pid}") for tree in watched)
    command = pinned(LOAD_CORE, [str(program(name)), *arguments, *trees])
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=within)
    except subprocess.TimeoutExpired as error:
        raise LoadFailed(f"{name} did not end within {within:g} s") from error
    if done.returncode or not done.stdout.strip():
        raise LoadFailed(f"{name} ended with {done.returncode}: {done.stderr[-2000:]}")
    report = json.loads(done.stdout)
    if done.stderr:
        report["said"] = done.stderr[-1000:]
    return Measured(report)
