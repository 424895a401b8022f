"""Databases as a first start leaves them, of which a cluster gets a copy: made once a session for each server.

That a first start prepares empty databases is shown where `running` is asked for those, and in
tests/acceptance/test_serve.py.
"""

import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path

from tests.stack.node import Node, passwords_in
from tests.stack.postgres_server import PostgresServer

MAIN, TRAIL = "prepared", "prepared_audit"


class PreparedFolder:
    """The folder of a node on SQLite, prepared."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="erlmcp-prepared-")
        self._passwords = _prepare(Path(self._folder.name), environment)

    def copy_to(self, folder: Path) -> dict[str, str]:
        """Copy the databases, and the secret that they were made with. Returns the first users' passwords."""
        shutil.copytree(self._folder.name, folder, dirs_exist_ok=True)
        return dict(self._passwords)


class PreparedServer:
    """Both databases on one PostgreSQL, prepared; a secret in the environment opens what they hold."""

    def __init__(self, server: PostgresServer, environment: Mapping[str, str]) -> None:
        self._server = server
        urls = {"DATABASE_URL": server.create(MAIN), "AUDIT_DATABASE_URL": server.create(TRAIL)}
        with tempfile.TemporaryDirectory(prefix="erlmcp-prepared-") as folder:
            self._passwords = _prepare(Path(folder), {**environment, **urls})

    def copy_to(self, main: str, trail: str) -> dict[str, str]:
        """Make databases of these names. Returns the first users' passwords."""
        self._server.create(main, like=MAIN)
        self._server.create(trail, like=TRAIL)
        return dict(self._passwords)


def _prepare(folder: Path, environment: Mapping[str, str]) -> dict[str, str]:
    return passwords_in(Node(folder, environment).manage("prepare").splitlines())
