"""HAProxy and nginx with the configurations in deploy/, in front of one server that stands for both nodes."""

import getpass
import grp
import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from benchmarks.load import Watched
from benchmarks.processes import LOAD_CORE, ROOT, free_port, listens, pinned, running, wait_until
from deploy.boot.certificate import write_certificate

KINDS = ("haproxy", "nginx")
DEPLOY = ROOT / "deploy"
UNLIMITED = "1000000"
READY_SECONDS = 30.0


@dataclass(frozen=True, slots=True)
class Gateway:
    """A running gateway: where it answers over TLS, and what to watch."""

    port: int
    watched: Watched


@contextmanager
def gateway(kind: str, folder: Path, node: int) -> Iterator[Gateway]:
    """A gateway on the clients' core, before the server on a port.

    Raises FileNotFoundError where it is not installed.
    """
    program = shutil.which(kind, path=os.environ["PATH"] + ":/usr/sbin")
    if program is None:
        raise FileNotFoundError(f"{kind} is not installed")
    port, certificate = free_port(), folder / "gateway.pem"
    write_certificate(certificate)
    environment = os.environ | {
        "GATEWAY_HTTPS": f"127.0.0.1:{port}",
        "GATEWAY_HTTP": f"127.0.0.1:{free_port()}",
        "GATEWAY_STATUS": f"127.0.0.1:{free_port()}",
        "GATEWAY_CERTIFICATE": str(certificate),
        "GATEWAY_NODE1": f"127.0.0.1:{node}",
        "GATEWAY_NODE2": f"127.0.0.1:{node}",
        "GATEWAY_REQUESTS_PER_SECOND": UNLIMITED,
        "GATEWAY_USER": getpass.getuser(),
        "GATEWAY_GROUP": grp.getgrgid(os.getgid()).gr_name,
        "GATEWAY_FOLDER": str(folder),
        "GATEWAY_PID": str(folder / "nginx.pid"),
    }
    if kind == "haproxy":
        command = [program, "-W", "-f", str(DEPLOY / "haproxy" / "haproxy.cfg")]
    else:
        configuration = folder / "nginx.conf"
        rendered = subprocess.run([DEPLOY / "nginx" / "render"], env=environment, check=True, capture_output=True)
        configuration.write_bytes(rendered.stdout)
        command = [program, "-e", "stderr", "-c", str(configuration), "-g", "daemon off;"]
    output = folder / f"{kind}.log"
    with running(pinned(LOAD_CORE, command), output=output, environment=environment) as process:
        wait_until(lambda: listens(port), process, output, within=READY_SECONDS)
        yield Gateway(port, Watched(kind, process.pid))
