"""Receivers of sinks, for tests: real servers on free ports, whose answers a test chooses."""

import contextlib
import gzip
import socket
import ssl
import struct
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import orjson
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

HOST = "127.0.0.1"


@dataclass(frozen=True, slots=True)
class Posted:
    """A request, its body unpacked, and the body as it came."""

    path: str
    headers: Mapping[str, str]
    body: bytes
    raw: bytes

    @property
    def lines(self) -> list[Any]:
        return [orjson.loads(line) for line in self.body.splitlines()]

    @property
    def sequences(self) -> list[int]:
        return [line["sequence"] for line in self.lines]


@dataclass(frozen=True, slots=True)
class Answer:
    """How a request is answered.

    `breaks`: the connection is reset in place of an answer. `hangs`: nothing comes until the test is over. `drips`:
    these bytes come again and again until the test is over or the other side has had enough.
    """

    status: int = 200
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)
    breaks: bool = False
    hangs: bool = False
    drips: bytes = b""


class WebReceiver:
    """An HTTP server. `answer` decides about each request; what it has taken (2xx, or broken off) is in `taken`."""

    def __init__(self) -> None:
        self.answer: Callable[[Posted], Answer] = lambda posted: Answer()
        self.posted: list[Posted] = []
        self.taken: list[Posted] = []
        self._over = threading.Event()
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                receiver._take(self)

            def log_message(self, format: str, *args: Any) -> None:
                """Tests say what they saw."""

        self._server = ThreadingHTTPServer((HOST, 0), Handler)
        self._server.daemon_threads = True
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()

    @property
    def port(self) -> int:
        return int(self._server.server_address[1])

    @property
    def sequences(self) -> list[int]:
        """Numbers of the entries that were taken, in the order in which they came."""
        return [number for posted in self.taken for number in posted.sequences]

    def secure(self, certificate: "Certificate") -> None:
        """Speak TLS from now on."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate.cert, certificate.key)
        self._server.socket = context.wrap_socket(self._server.socket, server_side=True)

    def close(self) -> None:
        self._over.set()
        self._server.shutdown()
        self._server.server_close()

    def _take(self, handler: BaseHTTPRequestHandler) -> None:
        raw = handler.rfile.read(int(handler.headers["Content-Length"]))
        body = gzip.decompress(raw) if handler.headers["Content-Encoding"] == "gzip" else raw
        posted = Posted(handler.path, {name.lower(): value for name, value in handler.headers.items()}, body, raw)
        self.posted.append(posted)
        answer = self.answer(posted)
        if answer.hangs:
            self._over.wait(60)
            handler.close_connection = True
            return
        if answer.drips:
            handler.close_connection = True
            with contextlib.suppress(OSError):
                handler.wfile.write(answer.body)
                while not self._over.wait(0.05):
                    handler.wfile.write(answer.drips)
            return
        if answer.breaks or answer.status < 300:
            self.taken.append(posted)
        if answer.breaks:
            reset(handler.connection)
            handler.close_connection = True
            return
        handler.send_response(answer.status)
        for name, value in {**answer.headers, "Content-Length": str(len(answer.body))}.items():
            handler.send_header(name, value)
        handler.end_headers()
        handler.wfile.write(answer.body)


class SyslogReceiver:
    """A syslog server that counts octets. `reads`: after so many bytes of a connection it breaks it; None: never.

    `ends`: whether it closes when its client has nothing more to say.
    """

    def __init__(self, certificate: "Certificate | None" = None) -> None:
        self.messages: list[bytes] = []
        self.errors: list[str] = []
        self.reads: int | None = None
        self.ends = True
        self._context: ssl.SSLContext | None = None
        if certificate is not None:
            self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            self._context.load_cert_chain(certificate.cert, certificate.key)
        self._listener = socket.create_server((HOST, 0))
        self.port = int(self._listener.getsockname()[1])
        self._over = threading.Event()
        threading.Thread(target=self._serve, daemon=True).start()

    def close(self) -> None:
        self._over.set()
        # close alone does not wake who waits in accept
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def _serve(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                connection, _ = self._listener.accept()
                threading.Thread(target=self._handle, args=(connection,), daemon=True).start()

    def _handle(self, connection: socket.socket) -> None:
        with connection:
            try:
                if self._context is None:
                    self._read(connection)
                else:
                    with self._context.wrap_socket(connection, server_side=True) as secured:
                        self._read(secured)
            except (OSError, ValueError) as error:
                self.errors.append(str(error))

    def _read(self, connection: socket.socket) -> None:
        received = b""
        count = 0
        while chunk := connection.recv(65_536):
            received += chunk
            count += len(chunk)
            if self.reads is not None and count >= self.reads:
                reset(connection)
                return
            received = self._split(received)
        if received:
            raise ValueError(f"{len(received)} bytes of a frame that did not end")
        if not self.ends:
            self._over.wait(60)
        if isinstance(connection, ssl.SSLSocket):
            connection.unwrap()

    def _split(self, received: bytes) -> bytes:
        """Take the whole frames off. Raises ValueError for what is none."""
        while received:
            length, blank, rest = received.partition(b" ")
            if not blank:
                break
            if not length.isdigit() or length.startswith(b"0"):
                raise ValueError(f"no length: {length[:20]!r}")
            if len(rest) < int(length):
                break
            self.messages.append(rest[: int(length)])
            received = rest[int(length) :]
        return received


@dataclass(frozen=True, slots=True)
class Certificate:
    """A certificate for 127.0.0.1 that is its own authority, and its key: paths of PEM files."""

    cert: Path
    key: Path


def certificate_in(folder: Path) -> Certificate:
    """A fresh certificate."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "receiver")])
    now = datetime.now(UTC)
    cert = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ip_address(HOST))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    made = Certificate(folder / "cert.pem", folder / "key.pem")
    made.cert.write_bytes(cert.public_bytes(serialization.Encoding.PEM))
    made.key.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    return made


def reset(connection: socket.socket) -> None:
    """Break a connection: the other side gets a reset, not an end."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    connection.close()


@contextlib.contextmanager
def a_port_where_nobody_listens() -> Iterator[int]:
    """A port that is kept free of listeners."""
    with socket.socket() as bound:
        bound.bind((HOST, 0))
        yield bound.getsockname()[1]
