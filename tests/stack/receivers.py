"""Receivers of metrics as operators run them: Debian's Prometheus and graphite-carbon; and one that never reads."""

import contextlib
import json
import os
import shutil
import socket
import subprocess
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx

from tests.stack.processes import Process, free_port
from tests.stack.waiting import PATIENCE, wait_until

PROMETHEUS = shutil.which("prometheus")
CARBON = shutil.which("carbon-cache")
WHISPER_FETCH = shutil.which("whisper-fetch") or shutil.which("whisper-fetch.py")


class Prometheus:
    """Scrapes addresses every second from when it is made until `stop`."""

    def __init__(self, folder: Path, targets: dict[str, str]) -> None:
        assert PROMETHEUS is not None
        self.port = free_port()
        jobs = [{"job_name": job, "static_configs": [{"targets": [address]}]} for job, address in targets.items()]
        configuration = folder / "prometheus.yml"
        configuration.write_text(json.dumps({"global": {"scrape_interval": "1s"}, "scrape_configs": jobs}))
        self._process = Process(
            [
                PROMETHEUS,
                f"--config.file={configuration}",
                f"--storage.tsdb.path={folder / 'tsdb'}",
                f"--web.listen-address=127.0.0.1:{self.port}",
                "--enable-feature=exemplar-storage",
                "--log.level=warn",
            ],
            folder=folder,
        )

    def stop(self) -> None:
        self._process.kill()

    def ask(self, query: str) -> list[dict[str, Any]]:
        """The samples of an instant query; none before it is up."""
        return self._get("query", query=query)

    def value(self, query: str) -> float:
        """The sum of what a query finds; 0 for nothing."""
        return sum(float(sample["value"][1]) for sample in self.ask(query))

    def exemplars(self, query: str) -> list[dict[str, Any]]:
        """The exemplars of the last hour."""
        series = self._get("query_exemplars", query=query, start="0", end="9999999999")
        return [exemplar for found in series for exemplar in found["exemplars"]]

    def _get(self, path: str, **parameters: str) -> list[dict[str, Any]]:
        assert self._process.is_running, self._process.output
        url = f"http://127.0.0.1:{self.port}/api/v1/{path}"
        try:
            answer = httpx.get(url, params=parameters, timeout=PATIENCE, trust_env=False)
        except httpx.TransportError:
            return []
        if answer.status_code != 200:
            return []
        told = answer.json()["data"]
        return list(told["result"] if isinstance(told, dict) else told)


CARBON_CONFIGURATION = """
[cache]
STORAGE_DIR = {folder}
LOCAL_DATA_DIR = {folder}/whisper
CONF_DIR = {folder}
LOG_DIR = {folder}
PID_DIR = {folder}
LINE_RECEIVER_INTERFACE = 127.0.0.1
LINE_RECEIVER_PORT = {plaintext}
PICKLE_RECEIVER_INTERFACE = 127.0.0.1
PICKLE_RECEIVER_PORT = {pickle}
CACHE_QUERY_INTERFACE = 127.0.0.1
CACHE_QUERY_PORT = {query}
ENABLE_UDP_LISTENER = False
MAX_CREATES_PER_MINUTE = inf
MAX_UPDATES_PER_SECOND = inf
ENABLE_TAGS = False
"""


class Carbon:
    """Debian's graphite-carbon, which keeps what it gets in whisper files of its folder."""

    def __init__(self, folder: Path) -> None:
        assert CARBON is not None
        self.plaintext, self.pickle = free_port(), free_port()
        self._folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "carbon.conf").write_text(
            CARBON_CONFIGURATION.format(folder=folder, plaintext=self.plaintext, pickle=self.pickle, query=free_port())
        )
        (folder / "storage-schemas.conf").write_text("[all]\npattern = .*\nretentions = 1s:10m\n")
        self._process: Process | None = None

    def start(self) -> None:
        command = [str(CARBON), "--nodaemon", f"--config={self._folder / 'carbon.conf'}", "start"]
        self._process = Process(
            command,
            folder=self._folder,
            environment={"PATH": os.environ["PATH"], "GRAPHITE_ROOT": str(self._folder)},
        )
        wait_until(self._listens, PATIENCE * 3, "carbon listens")

    def stop(self) -> None:
        if self._process is not None:
            self._process.kill()

    def _listens(self) -> bool:
        assert self._process is not None
        assert self._process.is_running, self._process.output
        for port in (self.plaintext, self.pickle):
            try:
                socket.create_connection(("127.0.0.1", port), timeout=1).close()
            except OSError:
                return False
        return True

    def values(self, path: str) -> list[float]:
        """What is kept of a metric, in the order of time."""
        file = self._folder / "whisper" / (path.replace(".", "/") + ".wsp")
        if not file.exists():
            return []
        assert WHISPER_FETCH is not None
        told = subprocess.run([WHISPER_FETCH, "--json", str(file)], capture_output=True, text=True, timeout=PATIENCE)
        if told.returncode:
            return []
        return [value for value in json.loads(told.stdout)["values"] if value is not None]

    def paths(self) -> list[str]:
        """The names of all metrics that are kept."""
        root = self._folder / "whisper"
        return [str(file.relative_to(root).with_suffix("")).replace("/", ".") for file in root.rglob("*.wsp")]


class BlackHole:
    """Takes connections and never reads from them, until `stop`."""

    def __init__(self) -> None:
        self._listener = socket.socket()
        self._listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        self._listener.bind(("127.0.0.1", 0))
        self._listener.listen(64)
        self.port = self._listener.getsockname()[1]
        self.taken: list[socket.socket] = []
        self._thread = threading.Thread(target=self._take, daemon=True)
        self._thread.start()

    def stop(self) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._thread.join()
        for connection in self.taken:
            connection.close()

    def _take(self) -> None:
        while True:
            try:
                self.taken.append(self._listener.accept()[0])
            except OSError:
                return


class Lines:
    """Takes connections and keeps what comes over them, decoded by `decode` once it is asked for."""

    def __init__(self, decode: Callable[[bytes], list[tuple[str, float, int]]], port: int = 0) -> None:
        self._listener = socket.create_server(("127.0.0.1", port))
        self.port: int = self._listener.getsockname()[1]
        self._decode = decode
        self._received: list[bytearray] = []
        self._connections: list[socket.socket] = []
        threading.Thread(target=self._take, daemon=True).start()

    @property
    def connections(self) -> int:
        """How many there have been."""
        return len(self._received)

    def points(self) -> list[tuple[str, float, int]]:
        """(path, value, Unix time) of everything so far."""
        return [point for received in list(self._received) for point in self._decode(bytes(received))]

    def stop(self) -> None:
        """Listen no more, and cut every connection."""
        for ended in (self._listener, *self._connections):
            with contextlib.suppress(OSError):
                ended.shutdown(socket.SHUT_RDWR)
            ended.close()

    def _take(self) -> None:
        while True:
            try:
                connection = self._listener.accept()[0]
            except OSError:
                return
            self._connections.append(connection)
            self._received.append(bytearray())
            threading.Thread(target=self._read, args=(connection, self._received[-1]), daemon=True).start()

    @staticmethod
    def _read(connection: socket.socket, received: bytearray) -> None:
        try:
            while chunk := connection.recv(65536):
                received += chunk
        except OSError:
            return
