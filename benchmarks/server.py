"""Our own server in a benchmark: `manage.py serve` on the server's core, with rate limits out of the way."""

import json
import os
import re
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

from benchmarks.content import content, uri
from benchmarks.load import Watched, http
from benchmarks.processes import SERVER_CORE, free_port, pinned, running, wait_until

READY_SECONDS = 60.0
BATCH = 100
LAG_BUCKET = r'erlmcp_delivery_lag_seconds_bucket\{le="([^"]+)"\} (\S+)'
UNLIMITED = "999999999/s"


@dataclass(frozen=True, slots=True)
class Server:
    """A running erlmcp."""

    port: int
    pid: int
    password: str
    start_seconds: float
    below: Watched | None = None

    @property
    def watched(self) -> list[Watched]:
        """The supervisor, its web processes and its Celery processes as they run now, and the database below them."""
        trees = [Watched("supervisor", self.pid)] + ([self.below] if self.below else [])
        for child in psutil.Process(self.pid).children():
            trees.append(Watched(_part(child.cmdline()), child.pid))
        return trees

    def rest(self, within: float = 30.0) -> None:
        """Wait until what it does on its own (moving audit entries) is done, or the time is over."""
        until = time.monotonic() + within
        while time.monotonic() < until:
            before = self.cpu_seconds()
            time.sleep(1)
            if self.cpu_seconds() - before < 0.15:
                return

    def cpu_seconds(self, part: str | None = None) -> float:
        """Of all its processes so far, or of those of a part (`web`, `worker`, `beat`), user and system."""
        processes = psutil.Process(self.pid).children(recursive=True)
        if part is None:
            processes.append(psutil.Process(self.pid))
        else:
            processes = [process for process in processes if _part(process.cmdline()) == part]
        return sum(sum(process.cpu_times()[:2]) for process in processes)

    def login(self) -> str:
        """A fresh access token of alice, who may do everything with resources."""
        return str(self.ask("POST", "/api/v1/auth/login", {"username": "alice", "password": self.password})["access"])

    def ask(self, method: str, path: str, body: Any = None, token: str | None = None) -> Any:
        """One call over REST; its JSON.

        Raises urllib.error.HTTPError when it is refused.
        """
        headers = {"Content-Type": "application/json"} | ({"Authorization": f"Bearer {token}"} if token else {})
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(f"http://127.0.0.1:{self.port}{path}", data, headers, method=method)
        with urllib.request.urlopen(request, timeout=60) as answer:
            return json.loads(answer.read() or b"null")

    def metric(self, name: str) -> float:
        """What a metric without labels says; 0 where there is none of that name."""
        with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/metrics", timeout=60) as answer:
            found = re.search(rf"^{name} (\S+)$", answer.read().decode(), re.MULTILINE)
        return float(found[1]) if found else 0.0

    def socket_lag_ms(self, share: float) -> float:
        """Milliseconds from a commit to the last socket, not exceeded by this share of walks, as the server counts."""
        with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/metrics", timeout=60) as answer:
            found = re.findall(LAG_BUCKET, answer.read().decode())
        buckets = [(float(bound), float(count)) for bound, count in found]
        return 1000 * next(bound for bound, count in buckets if count >= share * buckets[-1][1])

    def fill(self, keys: Sequence[int | str], token: str) -> None:
        """Write a resource for every key, in batches."""
        for start in range(0, len(keys), BATCH):
            operations = [
                {"method": "resources/write", "params": {"uri": uri(key), "content": content(start)}}
                for key in keys[start : start + BATCH]
            ]
            self.ask("POST", "/api/v1/resources/batch", {"operations": operations}, token)

    def rewrite(self, key: int, count: int, token: str) -> None:
        """Change one resource so many times, by small contents, in batches."""
        for start in range(0, count, BATCH):
            operations = [
                {"method": "resources/write", "params": {"uri": uri(key), "content": {"ts": number + 1}}}
                for number in range(start, min(count, start + BATCH))
            ]
            self.ask("POST", "/api/v1/resources/batch", {"operations": operations}, token)

    def lengthen_log(self, events: int, token: str) -> None:
        """Append at least so many events to the log: batches of small changes to a hundred URIs of their own."""
        operations = [
            {"method": "resources/write", "params": {"uri": uri(f"filler-{n}"), "content": {"n": n}}}
            for n in range(BATCH)
        ]
        http(
            port=self.port,
            path="/api/v1/resources/batch",
            method="POST",
            body=json.dumps({"operations": operations}, separators=(",", ":")),
            token=token,
            watched=[],
            connections=8,
            requests=max(1, -(-events // BATCH)),
        )


@contextmanager
def erlmcp(
    folder: Path,
    *,
    database: str | None = None,
    below: Watched | None = None,
    variables: Mapping[str, str] | None = None,
    core: int | None = SERVER_CORE,
) -> Iterator[Server]:
    """A server with its files in the folder, on SQLite when no database is named.

    A second start in the same folder finds its data. `below` is the database server, measured beside it. `core` None
    leaves it on every core.
    """
    port = free_port()
    environment = os.environ | {
        "HOST": "127.0.0.1",
        "PORT": str(port),
        "GRPC_PORT": "",
        "VAR_DIR": str(folder / "var"),
        "DEMO": "0",
        "SECRET_KEY": "only for figures, on the loopback interface",
        "LOG_RETENTION_EVENTS": "100000000",
        "ACCESS_TOKEN_SECONDS": "3600",
        "RATE_LIMIT_CALLER": UNLIMITED,
        "RATE_LIMIT_ADDRESS": UNLIMITED,
        "RATE_LIMIT_LOGIN": UNLIMITED,
        "LOGIN_LOCKOUT": UNLIMITED,
        "WS_MESSAGES_PER_SECOND": "1000000",
        "PYTHONUNBUFFERED": "1",
    }
    environment |= {"DATABASE_URL": database} if database else {}
    environment |= variables or {}
    command = [sys.executable, "manage.py", "serve"]
    output = folder / "serve.log"
    passwords = folder / "passwords"
    command = command if core is None else pinned(core, command)
    with running(command, output=output, environment=environment) as process:
        took = wait_until(lambda: _ready(port), process, output, within=READY_SECONDS)
        printed = re.search(r"^\s*alice (\S+)\s*$", output.read_text(), re.MULTILINE)
        if printed:
            passwords.write_text(printed[1])
        yield Server(port, process.pid, passwords.read_text(), took, below if database else None)


def _part(command: Sequence[str]) -> str:
    """What a child of the supervisor does. The load client keeps one figure a label, so no two may share theirs."""
    return next((part for part in ("worker", "beat") if part in command), "web")


def _ready(port: int) -> bool:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/health/ready", timeout=5) as answer:
            return bool(answer.status == 200)
    except (urllib.error.URLError, OSError):
        return False
