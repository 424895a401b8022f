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


@pytest.fixture(scope="session", params=KINDS)
def stack(request: pytest.FixtureRequest) -> Iterator[Cluster]:
    """A running system with one node on SQLite, or two on PostgreSQL and Redis; no test ends it."""
    if request.param == "sqlite":
        with running("sqlite") as cluster:
            yield cluster
    else:
        postgres, redis = request.getfixturevalue("postgres"), request.getfixturevalue("redis")
        with running("postgres+redis", postgres=postgres, redis=redis, nodes=2) as cluster:
            yield cluster
