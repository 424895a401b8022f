"""Systems that one module has for itself, because its tests break them."""

from collections.abc import Iterator

import pytest

from tests.stack.cluster import KINDS, Cluster, running
from tests.stack.postgres_server import PostgresServer
from tests.stack.redis_server import RedisServer


@pytest.fixture(scope="module", params=KINDS)
def own_node(request: pytest.FixtureRequest) -> Iterator[Cluster]:
    """One node, on SQLite or on PostgreSQL and Redis."""
    parts = {} if request.param == "sqlite" else {name: request.getfixturevalue(name) for name in ("postgres", "redis")}
    with running(request.param, **parts) as cluster:
        yield cluster


@pytest.fixture(scope="module")
def own_pair(postgres: PostgresServer, mortal_redis: RedisServer) -> Iterator[Cluster]:
    """Two nodes on PostgreSQL and the mortal Redis."""
    with running("postgres+redis", postgres=postgres, redis=mortal_redis, nodes=2) as cluster:
        yield cluster
