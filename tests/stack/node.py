"""One node of erlmcp as operators run it: `manage.py serve` in processes of its own."""

import re
import signal
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Literal

import httpx
import psutil

from tests.stack.grpc_client import Grpc
from tests.stack.processes import Process, free_port
from tests.stack.rest import Rest
from tests.stack.sockets import Socket
from tests.stack.waiting import wait_until

ROOT = Path(__file__).resolve().parents[2]
USER_LINE = re.compile(r"(admin|alice|bob) (\S+)")
START_SECONDS = 120

FREE = "free"
"""As GRPC_PORT: one that nobody listens on, for each node its own."""


class Node:
    """A node with its own port and folder. `environment` is all that its processes get to know. It is a `Door`."""

    tls = None

    def __init__(self, folder: Path, environment: Mapping[str, str]) -> None:
        self.folder = folder
        self.folder.mkdir(parents=True, exist_ok=True)
        self.port = free_port()
        self.environment = {**environment, "PORT": str(self.port), "VAR_DIR": str(folder)}
        if environment.get("GRPC_PORT") == FREE:
            self.environment["GRPC_PORT"] = str(free_port())
        self.passwords: dict[str, str] = {}
        self.process: Process | None = None

    @property
    def base(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def grpc_address(self) -> str:
        """Where gRPC is answered, on a node that does."""
        return f"127.0.0.1:{self.environment['GRPC_PORT']}"

    @property
    def output(self) -> str:
        return self.process.output if self.process else ""

    def rest(self, token: str | None = None, *, headers: Mapping[str, str] | None = None) -> Rest:
        """A REST client of this node."""
        return Rest(self.base, token, headers=headers)

    def grpc(
        self,
        token: str | None = None,
        *,
        metadata: Mapping[str, str] | None = None,
        options: Mapping[str, int] | None = None,
    ) -> Grpc:
        """A gRPC client of this node."""
        return Grpc(self.grpc_address, token, metadata=metadata, options=tuple((options or {}).items()))

    async def socket(self, token: str | None = None, **options: object) -> Socket:
        """A WebSocket to this node."""
        return await Socket.connect(self.base, token, **options)  # type: ignore[arg-type]

    def start(self) -> None:
        """Start it and wait until it is ready; first users' passwords are in `passwords` then."""
        self.begin()
        self.await_ready()

    def begin(self) -> None:
        """Start it, and do not wait."""
        self.process = Process([sys.executable, "manage.py", "serve"], folder=ROOT, environment=self.environment)

    def await_ready(self) -> None:
        """Wait until it is ready; first users' passwords are in `passwords` then."""
        assert self.process is not None
        wait_until(self.is_ready, START_SECONDS, f"{self.base} is ready")
        self.passwords |= passwords_in(self.process.lines)

    def stop(self, by: signal.Signals = signal.SIGTERM) -> int:
        """Ask it to end, as an operator does. Returns the exit status."""
        assert self.process is not None
        return self.process.stop(by=by)

    def kill(self) -> None:
        """kill -9 to everything of this node."""
        assert self.process is not None
        children = self._children()
        self.process.kill()
        for child in children:
            if child.is_running():
                child.kill()
        psutil.wait_procs(children, timeout=10)

    def kill_part(self, part: Literal["web", "worker", "beat"]) -> None:
        """kill -9 to the processes of a part; the node starts others by itself."""
        for process in self.processes(part):
            process.kill()

    def web_processes(self) -> list[psutil.Process]:
        """The processes that answer on the node's port, without the one that supervises them."""
        return self.processes("web")

    def processes(self, part: Literal["web", "worker", "beat"]) -> list[psutil.Process]:
        """Those of a part."""
        return [process for process in self._children() if _runs(process, part)]

    def is_ready(self) -> bool:
        """Whether `/health/ready` answers 200. Raises AssertionError when the node has ended."""
        assert self.process is not None
        assert self.process.is_running, f"the node ended:\n{self.output}"
        try:
            return httpx.get(f"{self.base}/health/ready", timeout=20, trust_env=False, verify=False).status_code == 200
        except httpx.TransportError:
            return False

    def manage(self, *arguments: str, within: float = 120, status: int = 0) -> str:
        """Run a management command against this node's databases, to end with a status. Returns its output."""
        process = Process([sys.executable, "manage.py", *arguments], folder=ROOT, environment=self.environment)
        ended_with = process.wait(within)
        assert ended_with == status, process.output
        return process.output

    def _children(self) -> list[psutil.Process]:
        assert self.process is not None
        try:
            children: list[psutil.Process] = psutil.Process(self.process.pid).children(recursive=True)
        except psutil.NoSuchProcess:
            return []
        return children


def passwords_in(lines: Iterable[str]) -> dict[str, str]:
    """The first users' passwords, as they are shown when they were made."""
    return {match[1]: match[2] for line in list(lines) if (match := USER_LINE.fullmatch(line))}


def _runs(process: psutil.Process, argument: str) -> bool:
    try:
        return argument in process.cmdline()
    except psutil.NoSuchProcess:
        return False
