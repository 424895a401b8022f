"""A running system: its nodes, what they stand on, its users, and clients for them."""

import itertools
import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Literal

import httpx

from tests.stack.database import Database, Truth
from tests.stack.grpc_client import Grpc
from tests.stack.node import FREE, Node
from tests.stack.postgres_server import PostgresServer
from tests.stack.prepared import PreparedFolder, PreparedServer
from tests.stack.redis_server import RedisServer
from tests.stack.rest import Rest
from tests.stack.sockets import Socket

Kind = Literal["sqlite", "postgres+redis"]
KINDS: tuple[Kind, ...] = ("sqlite", "postgres+redis")

UNLIMITED = {
    "RATE_LIMIT_CALLER": "1000000/s",
    "RATE_LIMIT_ADDRESS": "1000000/s",
    "RATE_LIMIT_LOGIN": "1000000/m",
    "LOGIN_LOCKOUT": "1000000/m",
    "ACCESS_TOKEN_SECONDS": "3600",
    "REFRESH_GRACE_SECONDS": "120",
}

_numbers = itertools.count(1)


class Cluster:
    """One or more nodes on one pair of databases."""

    def __init__(
        self, kind: Kind, folder: Path, environment: dict[str, str], truth: Truth, passwords: dict[str, str]
    ) -> None:
        self.kind = kind
        self.folder = folder
        self.environment = environment
        self.truth = truth
        self.nodes: list[Node] = []
        self.passwords = passwords
        self._tokens: dict[str, str] = {}
        self._uris = itertools.count(1)

    def add_node(self, **environment: str) -> Node:
        """Start another node."""
        node = self._new_node(environment)
        node.start()
        self.passwords.update(node.passwords)
        return node

    def add_nodes(self, count: int) -> None:
        """Start so many at once, on databases that are prepared."""
        added = [self._new_node({}) for _ in range(count)]
        for node in added:
            node.begin()
        for node in added:
            node.await_ready()

    def add_user(self, name: str, group: str | None = None) -> None:
        """Make a user, of a group or of none, as an operator does."""
        self.passwords[name] = f"{name}-passes-here"
        lines = [
            "from django.contrib.auth.models import Group, User",
            f"user = User.objects.create_user({name!r}, password={self.passwords[name]!r})",
        ]
        if group is not None:
            lines.append(f"user.groups.add(Group.objects.get(name={group!r}))")
        self.nodes[0].manage("shell", "-c", "\n".join(lines))

    def add_users(self, *names: str) -> None:
        """Make several users, of no group."""
        self.passwords |= {name: f"{name}-passes-here" for name in names}
        made = {name: self.passwords[name] for name in names}
        lines = [
            "from django.contrib.auth.models import User",
            f"for name, password in {made!r}.items(): User.objects.create_user(name, password=password)",
        ]
        self.nodes[0].manage("shell", "-c", "\n".join(lines))

    def login(self, user: str, node: int = 0) -> dict[str, str]:
        """A fresh token family: {access, refresh, expires_in}."""
        response = httpx.post(
            f"{self.nodes[node].base}/api/v1/auth/login",
            json={"username": user, "password": self.passwords[user]},
            timeout=60,
            trust_env=False,
        )
        assert response.status_code == 200, response.text
        pair: dict[str, str] = response.json()
        return pair

    def token(self, user: str) -> str:
        """An access token of the user, the same for all tests that do not end it."""
        if user not in self._tokens:
            self._tokens[user] = self.login(user)["access"]
        return self._tokens[user]

    def rest(self, user: str | None = None, node: int = 0, *, token: str | None = None) -> Rest:
        """A REST client; of nobody when neither a user nor a token is given."""
        return self.nodes[node].rest(token or (self.token(user) if user else None))

    def grpc(
        self,
        user: str | None = None,
        node: int = 0,
        *,
        token: str | None = None,
        metadata: Mapping[str, str] | None = None,
    ) -> Grpc:
        """A gRPC client; of nobody when neither a user nor a token is given."""
        return self.nodes[node].grpc(token or (self.token(user) if user else None), metadata=metadata)

    async def socket(
        self, user: str | None = None, node: int = 0, *, token: str | None = None, **options: object
    ) -> Socket:
        """An open WebSocket."""
        return await self.nodes[node].socket(token or (self.token(user) if user else None), **options)

    def tree(self) -> str:
        """The prefix of URIs that no other test uses."""
        return f"resource://test{next(self._uris)}.local/"

    def stop(self) -> None:
        for node in self.nodes:
            if node.process is not None and node.process.is_running:
                node.kill()
        shutil.rmtree(self.folder, ignore_errors=True)

    def _new_node(self, environment: Mapping[str, str]) -> Node:
        node = Node(self.folder / f"node{len(self.nodes) + 1}", {**self.environment, **environment})
        self.nodes.append(node)
        return node


SECRET = "a secret that only the nodes of tests share, and long enough"


def _environment() -> dict[str, str]:
    """What the nodes of every cluster get to know."""
    here = {name: value for name, value in os.environ.items() if name in {"PATH", "HOME", "LANG", "LD_LIBRARY_PATH"}}
    own = {"DJANGO_SETTINGS_MODULE": "tests.stack.settings", "PYTHONUNBUFFERED": "1", "DEMO": "0", "HOST": "127.0.0.1"}
    return here | UNLIMITED | own | {"GRPC_PORT": FREE}


@cache
def _prepared_folder() -> PreparedFolder:
    return PreparedFolder(_environment())


@cache
def _prepared_on(server: PostgresServer) -> PreparedServer:
    return PreparedServer(server, _environment() | {"SECRET_KEY": SECRET})


@contextmanager
def running(
    kind: Kind,
    *,
    postgres: PostgresServer | None = None,
    redis: RedisServer | None = None,
    audit: PostgresServer | None = None,
    nodes: int = 1,
    environment: Mapping[str, str] | None = None,
    folder: Path | None = None,
    empty: bool = False,
) -> Iterator[Cluster]:
    """A cluster of so many nodes on fresh databases, for as long as the context lasts; its files lie in `folder`.

    The audit database is on the server `audit`, or where the main one is. The databases are copies of prepared ones,
    unless they shall be `empty`, as those are that have a secret or a server of their own.
    """
    folder = folder or Path(tempfile.mkdtemp(prefix="erlmcp-cluster-"))
    number = next(_numbers)
    common = _environment()
    passwords: dict[str, str] = {}
    if kind == "sqlite":
        truth = Truth(
            Database(f"sqlite:///{folder / 'node1' / 'erlmcp.sqlite3'}"),
            Database(f"sqlite:///{folder / 'node1' / 'audit.sqlite3'}"),
        )
        if not empty:
            passwords = _prepared_folder().copy_to(folder / "node1")
    else:
        assert postgres is not None and redis is not None
        common |= {"REDIS_URL": redis.url.removesuffix("/0") + f"/{number}", "SECRET_KEY": SECRET}
        main, trail = f"erlmcp{number}", f"audit{number}"
        if empty:
            postgres.create(main)
            (audit or postgres).create(trail)
        else:
            assert audit is None, "a server of its own has nothing prepared"
            passwords = _prepared_on(postgres).copy_to(main, trail)
        common |= {"DATABASE_URL": postgres.url(main), "AUDIT_DATABASE_URL": (audit or postgres).url(trail)}
        truth = Truth(Database(common["DATABASE_URL"]), Database(common["AUDIT_DATABASE_URL"]))
    cluster = Cluster(kind, folder, {**common, **(environment or {})}, truth, passwords)
    try:
        if empty:
            for _ in range(nodes):
                cluster.add_node()
        else:
            cluster.add_nodes(nodes)
        yield cluster
    finally:
        cluster.stop()
