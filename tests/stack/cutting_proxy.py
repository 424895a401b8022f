"""A TCP proxy before a PostgreSQL server, which cuts a connection at its COMMIT."""

import contextlib
import socket
import threading
from typing import Literal

COMMIT = b"Q\x00\x00\x00\x0bCOMMIT\x00"
"""The message of the simple query protocol, as psycopg sends it."""

CutAt = Literal["before", "after"]


class CuttingProxy:
    """Passes everything on, but for the next COMMIT after `cut_at` was set.

    "before": the connection ends before the COMMIT reaches the server. "after": it reaches it and is carried out, but
    the answer never gets back. `cuts` counts the connections that were ended.
    """

    def __init__(self, port: int) -> None:
        self.cut_at: CutAt | None = None
        self.cuts = 0
        self._server_port = port
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        """Accept nothing more."""
        # a thread that accepts is not woken by close alone
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                Passage(self, client, socket.create_connection(("127.0.0.1", self._server_port)))

    def take_cut(self) -> CutAt | None:
        """How the COMMIT that has come is to be cut; the one after it is not."""
        cut, self.cut_at = self.cut_at, None
        self.cuts += cut is not None
        return cut


class Passage:
    """One connection through the proxy."""

    def __init__(self, proxy: CuttingProxy, client: socket.socket, server: socket.socket) -> None:
        self._proxy = proxy
        self._client = client
        self._server = server
        self._withholds = False
        for pump in (self._ask, self._answer):
            threading.Thread(target=pump, daemon=True).start()

    def _ask(self) -> None:
        with contextlib.suppress(OSError):
            while data := self._client.recv(65536):
                cut = self._proxy.take_cut() if COMMIT in data else None
                if cut == "before":
                    break
                self._withholds = cut == "after"
                self._server.sendall(data)
        if not self._withholds:
            self._end()

    def _answer(self) -> None:
        with contextlib.suppress(OSError):
            while data := self._server.recv(65536):
                if self._withholds:
                    break
                self._client.sendall(data)
        self._end()

    def _end(self) -> None:
        for side in (self._client, self._server):
            with contextlib.suppress(OSError):
                side.shutdown(socket.SHUT_RDWR)
            side.close()
