"""What stands behind a gateway in the place of a node, to do what nodes do only when they fail."""

import contextlib
import socket
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self

from tests.stack.processes import free_port


@dataclass(frozen=True, kw_only=True)
class Asked:
    """A request as the gateway sent it; the names of headers are in lower case."""

    method: str
    path: str
    headers: Mapping[str, str]
    body: bytes


class StandIn:
    """Answers requests over HTTP with 200 and its name, while it is up, and readiness apart from that.

    `asked` are the requests that came, without those for readiness. While `hangs_up` is set it takes requests and
    closes the connection without a word, as a process that is killed does; while `holds` is set, answers wait. On its
    gRPC port nobody listens.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self.port = free_port()
        self.grpc_address = f"127.0.0.1:{free_port()}"
        self.asked: list[Asked] = []
        self.checks = 0
        self.is_ready = True
        self.hangs_up = False
        self._goes_on = threading.Event()
        self._goes_on.set()
        self._server: _Server | None = None

    def __enter__(self) -> Self:
        self.open()
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    @property
    def holds(self) -> bool:
        return not self._goes_on.is_set()

    @holds.setter
    def holds(self, value: bool) -> None:
        if value:
            self._goes_on.clear()
        else:
            self._goes_on.set()

    def open(self) -> None:
        """Listen on its port."""
        self._server = _Server(("127.0.0.1", self.port), _handler_of(self))
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()

    def close(self) -> None:
        """Listen no more, and cut who is connected, as the system does for a process that is killed."""
        self.holds = False
        if self._server is not None:
            self._server.shutdown()
            self._server.cut()
            self._server.server_close()
            self._server = None

    def again(self) -> None:
        """Be as at first: up and ready, with nothing asked."""
        self.is_ready, self.hangs_up, self.holds = True, False, False
        self.asked.clear()
        if self._server is None:
            self.open()

    def wait(self) -> None:
        """Until nothing is held any more."""
        self._goes_on.wait()


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128

    def __init__(self, *arguments: Any) -> None:
        self._open: set[socket.socket] = set()
        super().__init__(*arguments)

    def finish_request(self, request: Any, client_address: Any) -> None:
        self._open.add(request)
        # the other side may cut what it has no more use for
        with contextlib.suppress(ConnectionError):
            super().finish_request(request, client_address)
        self._open.discard(request)

    def cut(self) -> None:
        """End what is connected."""
        for connection in list(self._open):
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)


def _handler_of(stand_in: StandIn) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        timeout = 60

        def answer(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            if self.path == "/health/ready":
                stand_in.checks += 1
                self.say(200 if stand_in.is_ready else 503)
                return
            headers = {name.lower(): value for name, value in self.headers.items()}
            stand_in.asked.append(Asked(method=self.command, path=self.path, headers=headers, body=body))
            stand_in.wait()
            if stand_in.hangs_up:
                self.close_connection = True
            else:
                self.say(200)

        do_GET = do_PUT = do_POST = do_PATCH = do_DELETE = answer

        def say(self, status: int) -> None:
            body = stand_in.name.encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.send_header("Request-Id", self.headers.get("Request-Id", "none"))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:
            """Nothing: tests look at `asked`."""

    return Handler
