"""HAProxy and nginx with the configurations in deploy/, in front of one server that stands for both nodes."""

import getpass
import grp
import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from benchmarks.load import Watched
from benchmarks.processes import LOAD_CORE, ROOT, free_port, listens, pinned, running, wait_until

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
    port = free_port()
    environment = os.environ | {
        "GATEWAY_HTTPS": f"127.0.0.1:{port}",
        "GATEWAY_HTTP": f"127.0.0.1:{free_port()}",
        "GATEWAY_STATUS": f"127.0.0.1:{free_port()}",
        "GATEWAY_CERTIFICATE": str(_certificate_in(folder)),
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


def _certificate_in(folder: Path) -> Path:
    """A certificate and its key in one file; clients here do not check it."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .sign(key, hashes.SHA256())
    )
    own = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    path = folder / "gateway.pem"
    path.write_bytes(certificate.public_bytes(serialization.Encoding.PEM) + own)
    return path
