"""Two nodes behind a gateway, on a PostgreSQL and a Redis that may be killed; every way between them is a link."""

import asyncio
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import TypeVar

from tests.chaos.links import Link, Ways
from tests.stack.cluster import Cluster, running
from tests.stack.gateway import Gateway, gateway
from tests.stack.node import Node
from tests.stack.postgres_server import PostgresServer
from tests.stack.redis_server import RedisServer

T = TypeVar("T")

NODES = 2


@dataclass(frozen=True, kw_only=True)
class Front:
    """Where the gateway finds a node, by links. `node` is the node itself."""

    node: Node
    http: Link
    grpc: Link

    @property
    def port(self) -> int:
        return self.http.port

    @property
    def grpc_address(self) -> str:
        return f"127.0.0.1:{self.grpc.port}"


@dataclass(frozen=True, kw_only=True)
class Place:
    """A node, and the ways to it and from it."""

    node: Node
    front: Front
    database: Link
    audit: Link
    redis: Link


@dataclass(frozen=True, kw_only=True)
class System:
    """All parts, to be struck."""

    cluster: Cluster
    postgres: PostgresServer
    redis: RedisServer
    gateway: Gateway
    places: list[Place]
    hands: ThreadPoolExecutor

    async def apart(self, work: Callable[..., T], *arguments: object) -> T:
        """What work that waits comes to. Processes that it starts live as long as the system does."""
        # a child ends with the thread that made it, and those of a loop end with the loop
        return await asyncio.get_running_loop().run_in_executor(self.hands, work, *arguments)


@contextmanager
def system() -> Iterator[System]:
    """A fresh one, for as long as the context lasts."""
    with ExitStack() as parts:
        postgres, redis = PostgresServer(), RedisServer()
        parts.callback(postgres.stop)
        parts.callback(redis.stop)
        ways = parts.enter_context(Ways())
        proxied = {"TRUSTED_PROXIES": "127.0.0.1"}
        cluster = parts.enter_context(
            running("postgres+redis", postgres=postgres, redis=redis, nodes=0, environment=proxied)
        )
        places = [_place(cluster, postgres, redis, ways) for _ in range(NODES)]
        edge = parts.enter_context(gateway("haproxy", [place.front for place in places]))
        hands = parts.enter_context(ThreadPoolExecutor(1))
        yield System(cluster=cluster, postgres=postgres, redis=redis, gateway=edge, places=places, hands=hands)


def _place(cluster: Cluster, postgres: PostgresServer, redis: RedisServer, ways: Ways) -> Place:
    """Start another node with links all around it."""
    database, audit, cache = ways.link(postgres.port), ways.link(postgres.port), ways.link(redis.port)
    environment = {
        name: cluster.environment[name].replace(f":{link.target}/", f":{link.port}/")
        for name, link in {"DATABASE_URL": database, "AUDIT_DATABASE_URL": audit, "REDIS_URL": cache}.items()
    }
    node = cluster.add_node(**environment)
    front = Front(node=node, http=ways.link(node.port), grpc=ways.link(int(node.environment["GRPC_PORT"])))
    return Place(node=node, front=front, database=database, audit=audit, redis=cache)
