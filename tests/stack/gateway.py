"""The gateway in front of nodes: HAProxy or nginx as they are installed, with the configurations in deploy/."""

import contextlib
import getpass
import grp
import os
import shutil
import signal
import ssl
import subprocess
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Literal, Protocol

import httpx

from tests.stack.certificates import Authority
from tests.stack.grpc_client import Grpc
from tests.stack.missing import missing
from tests.stack.node import ROOT
from tests.stack.processes import Process, free_port
from tests.stack.rest import Rest
from tests.stack.sockets import Socket
from tests.stack.waiting import Late, wait_until

Kind = Literal["haproxy", "nginx"]
KINDS: tuple[Kind, ...] = ("haproxy", "nginx")
PACKAGES: Mapping[Kind, str] = {"haproxy": "haproxy", "nginx": "nginx-light"}

DEPLOY = ROOT / "deploy"
HAPROXY = DEPLOY / "haproxy" / "haproxy.cfg"
START_SECONDS = 30
RELOADS, RELOAD_SECONDS = 6, 5
LOADED = "Loading success"

WIDE = {"GATEWAY_REQUESTS_PER_SECOND": "1000000", "GATEWAY_CONNECTIONS_PER_ADDRESS": "100000"}
"""For clients that are many, and all have the same address."""


class Behind(Protocol):
    """What the gateway needs to know of a node."""

    @property
    def port(self) -> int: ...

    @property
    def grpc_address(self) -> str: ...


class Gateway:
    """One gateway on ports of its own. `base` is where clients find it; they trust `tls`, or the PEM file `ca`.

    It is a `Door`. gRPC is answered on the same port, `grpc_address`.
    """

    def __init__(self, kind: Kind, nodes: Sequence[Behind], folder: Path, environment: Mapping[str, str]) -> None:
        self.kind = kind
        self.folder = folder
        self.port = free_port()
        self.plain_port = free_port()
        self.status_port = free_port()
        self._authority = Authority(folder)
        self.ca = self._authority.path
        certificate = folder / "gateway.pem"
        self.serial_number = self._authority.write_leaf(certificate)
        self.environment = {
            "PATH": os.environ["PATH"],
            "GATEWAY_HTTPS": f"127.0.0.1:{self.port}",
            "GATEWAY_HTTP": f"127.0.0.1:{self.plain_port}",
            "GATEWAY_PUBLIC_PORT": str(self.port),
            "GATEWAY_STATUS": f"127.0.0.1:{self.status_port}",
            "GATEWAY_CERTIFICATE": str(certificate),
            "GATEWAY_FOLDER": str(folder),
            "GATEWAY_PID": str(folder / "nginx.pid"),
            **_own_user(kind),
            **environment,
        }
        for number, node in enumerate(nodes, 1):
            self.environment[f"GATEWAY_NODE{number}"] = f"127.0.0.1:{node.port}"
            self.environment[f"GATEWAY_NODE{number}_GRPC"] = node.grpc_address
        self.process: Process | None = None

    @property
    def base(self) -> str:
        return f"https://{self.grpc_address}"

    @property
    def grpc_address(self) -> str:
        return f"127.0.0.1:{self.port}"

    @property
    def output(self) -> str:
        return self.process.output if self.process else ""

    @property
    def tls(self) -> ssl.SSLContext:
        """A context of its own for each client, who may set in it what it speaks."""
        return ssl.create_default_context(cafile=str(self.ca))

    def rest(self, token: str | None = None, *, headers: Mapping[str, str] | None = None) -> Rest:
        """A REST client that goes through here."""
        return Rest(self.base, token, headers=headers, tls=self.tls)

    def grpc(
        self,
        token: str | None = None,
        *,
        metadata: Mapping[str, str] | None = None,
        options: Mapping[str, int] | None = None,
    ) -> Grpc:
        """A gRPC client that goes through here."""
        return Grpc(self.grpc_address, token, metadata=metadata, options=tuple((options or {}).items()), ca=self.ca)

    async def socket(self, token: str | None = None, **options: object) -> Socket:
        """A WebSocket that goes through here."""
        return await Socket.connect(self.base, token, ssl=self.tls, **options)  # type: ignore[arg-type]

    def start(self) -> None:
        """Start it, and wait until it answers."""
        self.process = Process(self._command(), folder=self.folder, environment=self.environment)
        if self.kind == "haproxy":
            self.process.await_line(LOADED, START_SECONDS)
        wait_until(self._answers, START_SECONDS, f"{self.base} answers")

    def stop(self) -> int:
        """End it at once, as operators do. Returns the exit status."""
        assert self.process is not None
        return self.process.stop(by=signal.SIGTERM)

    def kill(self) -> None:
        """kill -9 to all of it."""
        assert self.process is not None
        self.process.kill()

    def restart(self) -> None:
        self.kill()
        self.start()

    def reload(self) -> None:
        """Have it read its configuration and certificate again, without a pause; new connections get them soon."""
        assert self.process is not None
        process = self.process
        if self.kind == "nginx":
            self._command()
            process.send(signal.SIGHUP)
            return
        before = self._times_loaded()
        # HAProxy loses a signal that comes just when it becomes the master of its workers
        for _ in range(RELOADS):
            process.send(signal.SIGUSR2)
            with contextlib.suppress(Late):
                wait_until(lambda: self._times_loaded() > before, RELOAD_SECONDS, "a reload")
                return
        raise Late(f"HAProxy does not reload:\n{self.output}")

    def renew_certificate(self) -> None:
        """Put a fresh certificate in place; it is shown from the next reload on."""
        self.serial_number = self._authority.write_leaf(Path(self.environment["GATEWAY_CERTIFICATE"]))

    def check(self) -> str:
        """What the program itself says of its configuration. Raises AssertionError when that is bad."""
        flag = "-c" if self.kind == "haproxy" else "-t"
        done = subprocess.run(
            [*self._command(), flag], env=self.environment, capture_output=True, text=True, timeout=60
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout + done.stderr

    def _command(self) -> list[str]:
        if self.kind == "haproxy":
            return [_program("haproxy"), "-W", "-f", str(HAPROXY)]
        configuration = self.folder / "nginx.conf"
        rendered = subprocess.run(
            [str(DEPLOY / "nginx" / "render")],
            env=self.environment,
            check=True,
            capture_output=True,
            timeout=60,
        )
        configuration.write_bytes(rendered.stdout)
        return [_program("nginx"), "-e", "stderr", "-c", str(configuration), "-g", "daemon off;"]

    def _times_loaded(self) -> int:
        assert self.process is not None
        return sum(LOADED in line for line in list(self.process.lines))

    def _answers(self) -> bool:
        assert self.process is not None
        assert self.process.is_running, f"the gateway ended:\n{self.output}"
        try:
            httpx.get(f"{self.base}/health/live", timeout=5, trust_env=False, verify=self.tls)
        except httpx.TransportError:
            return False
        return True


@contextmanager
def gateway(kind: Kind, nodes: Sequence[Behind], **environment: str) -> Iterator[Gateway]:
    """A gateway in front of two nodes, for as long as the context lasts; `environment` are GATEWAY_ variables."""
    _program(kind)
    folder = Path(tempfile.mkdtemp(prefix="erlmcp-gateway-"))
    edge = Gateway(kind, nodes, folder, environment)
    try:
        edge.start()
        yield edge
    finally:
        if edge.process is not None and edge.process.is_running:
            edge.kill()
        shutil.rmtree(folder, ignore_errors=True)


def _program(kind: Kind) -> str:
    """Where it is; Debian has both in /usr/sbin, which is not on everybody's PATH."""
    found = shutil.which(kind, path=os.environ["PATH"] + ":/usr/sbin")
    return found or missing(f"{kind} (Debian: apt-get install {PACKAGES[kind]})")


def _own_user(kind: Kind) -> dict[str, str]:
    """Only root can become somebody else; HAProxy reads its files before it does."""
    if os.getuid() == 0 and kind == "haproxy":
        return {}
    return {"GATEWAY_USER": getpass.getuser(), "GATEWAY_GROUP": grp.getgrgid(os.getgid()).gr_name}
