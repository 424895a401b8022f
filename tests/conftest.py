"""The real parts that tests stand on; each is started once a session, when the first test asks for it."""

from collections.abc import Iterator

import pytest

from tests.stack.cluster import KINDS, Cluster, running
from tests.stack.postgres_server import PostgresServer
from tests.stack.redis_server import RedisServer


@pytest.fixture(scope="session")
def postgres() -> Iterator[PostgresServer]:
    """A PostgreSQL server with no databases of ours in it."""
    server = PostgresServer()
    yield server
    server.stop()


@pytest.fixture(scope="session")
def redis() -> Iterator[RedisServer]:
    """A Redis server that no test kills."""
    server = RedisServer()
    yield server
    server.stop()


@pytest.fixture(scope="session")
def embedded() -> Iterator[Cluster]:
    """One node on SQLite; no test ends it."""
    with running("sqlite") as cluster:
        yield cluster


@pytest.fixture(scope="session")
def pair(postgres: PostgresServer, redis: RedisServer) -> Iterator[Cluster]:
    """Two nodes on PostgreSQL and Redis; no test ends them."""
    with running("postgres+redis", postgres=postgres, redis=redis, nodes=2) as cluster:
        yield cluster


@pytest.fixture(scope="session", params=KINDS)
def stack(request: pytest.FixtureRequest) -> Cluster:
    """Either of the two, so that a test runs on both."""
    cluster: Cluster = request.getfixturevalue("embedded" if request.param == "sqlite" else "pair")
    return cluster
