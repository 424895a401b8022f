"""The real parts that tests stand on; each is started once a session, when the first test asks for it."""

import gc
import os
import random
import zlib
from collections.abc import Generator, Iterator
from pathlib import Path

import pytest
from asgiref.sync import SyncToAsync
from django.conf import settings
from django.db import connections
from django.db.backends.postgresql.base import DatabaseWrapper as PostgreSQL
from django.db.backends.signals import connection_created
from hypothesis import HealthCheck
from hypothesis import settings as of_hypothesis

from audit_app.writer import writer
from erlmcp_site.transports.admission import admission
from resources_app.log.head import CHANGES, CONTROL
from resources_app.models import LogHead
from sessions_app import key_store
from sessions_app.limits import limits
from tests.stack.cluster import KINDS, Cluster, running
from tests.stack.door import Door
from tests.stack.durability import force_nothing
from tests.stack.gateway import WIDE, Gateway, gateway
from tests.stack.key_pairs import take_key_pair
from tests.stack.postgres_server import PostgresServer
from tests.stack.redis_server import RedisServer
from tests.stack.tables import restore_instead_of_flush

IS_JUDGED = "CI" in os.environ
"""Whether a run decides about a change: then all that is drawn is the same in every run. Other runs look further."""

# how long an example takes says more about the machine than about the code
of_hypothesis.register_profile(
    "steady",
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
    print_blob=True,
    derandomize=IS_JUDGED,
    **({"database": None} if IS_JUDGED else {}),
)
of_hypothesis.load_profile("steady")

HASTY_SECONDS = 3

ON_RUNNING_SYSTEMS = ("acceptance", "contract", "mcp")
"""Folders whose tests come first; the clusters that they share end after them: a node takes a thirtieth of a core."""

_shared: list[Cluster | Gateway] = []


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Generator[None, object, object]:
    """What is collected stays until the end: nothing of it is looked through for garbage, now or later."""
    gc.disable()
    collected = yield
    gc.freeze()
    gc.enable()
    return collected


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    items.sort(key=lambda item: not _is_on_running_system(item))


@pytest.hookimpl(wrapper=True)
def pytest_fixture_setup(fixturedef: pytest.FixtureDef[object]) -> Generator[None, object, object]:
    made = yield
    if fixturedef.scope == "session" and isinstance(made, Cluster | Gateway):
        _shared.append(made)
    return made


@pytest.hookimpl(trylast=True)
def pytest_runtest_teardown(item: pytest.Item, nextitem: pytest.Item | None) -> None:
    if nextitem is not None and _is_on_running_system(item) and not _is_on_running_system(nextitem):
        while _shared:
            _shared.pop().stop()


def _is_on_running_system(item: pytest.Item) -> bool:
    return item.path.relative_to(Path(__file__).parent).parts[0] in ON_RUNNING_SYSTEMS


@pytest.fixture(scope="session", autouse=True)
def own_folder(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Tests that run meanwhile in another process are of another node: one tells what all of its processes have."""
    settings.VAR_DIR = tmp_path_factory.mktemp("var")


@pytest.fixture
def dice(request: pytest.FixtureRequest) -> random.Random:
    """Random numbers; the seed stands in the report of a test that fails."""
    seed = zlib.crc32(request.node.nodeid.encode()) if IS_JUDGED else random.SystemRandom().randrange(2**32)
    print(f"seed {seed}")  # noqa: T201
    return random.Random(seed)


@pytest.fixture(scope="session")
def django_db_setup(django_db_setup: None) -> Iterator[None]:
    """The test databases; every connection of this process is given back before they are dropped."""
    restore_instead_of_flush()
    connection_created.connect(force_nothing)
    yield
    writer.close()
    # where `await Model.objects.aget()` and the like run
    SyncToAsync.single_thread_executor.submit(connections.close_all).result()
    for connection in connections.all():
        connection.close()
        if isinstance(connection, PostgreSQL):
            connection.close_pool()


@pytest.fixture(scope="session", autouse=True)
def quick_key_pairs() -> Iterator[None]:
    """Signing keys of this process are not made anew for each test; nodes make theirs."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(key_store, "generate_private_key", take_key_pair)
        yield


@pytest.fixture(autouse=True)
def full_buckets() -> None:
    """Nobody has asked this process for anything, failed to log in, or connected."""
    limits.forget()
    admission.forget()


@pytest.fixture(autouse=True)
def spine(request: pytest.FixtureRequest) -> Iterator[None]:
    """Where a test in this process commits: the log has its heads, and the writer is at rest before the tables go."""
    marker = request.node.get_closest_marker("django_db")
    if "transactional_db" not in request.fixturenames and not (marker and marker.kwargs.get("transaction")):
        yield
        return
    request.getfixturevalue("transactional_db")
    for stream in (CHANGES, CONTROL):
        LogHead.objects.get_or_create(stream=stream, defaults={"head": 0, "earliest": 1})
    yield
    writer.close()


@pytest.fixture(scope="session")
def postgres() -> Iterator[PostgresServer]:
    """A PostgreSQL server with no databases of ours in it, which no test ends."""
    server = PostgresServer(durable=False)
    yield server
    server.stop()


@pytest.fixture(scope="session")
def redis() -> Iterator[RedisServer]:
    """A Redis server that no test kills."""
    server = RedisServer()
    yield server
    server.stop()


@pytest.fixture(scope="module")
def mortal_redis() -> Iterator[RedisServer]:
    """A Redis that the tests of one module may kill, stop and empty."""
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
    """Two nodes on PostgreSQL and Redis, which believe proxies on this machine; no test ends them."""
    behind = {"TRUSTED_PROXIES": "127.0.0.1/32"}
    with running("postgres+redis", postgres=postgres, redis=redis, nodes=2, environment=behind) as cluster:
        yield cluster


@pytest.fixture(scope="session")
def haproxy(pair: Cluster) -> Iterator[Gateway]:
    """HAProxy in front of the two nodes; no test ends it."""
    with gateway("haproxy", pair.nodes, **WIDE) as edge:
        yield edge


@pytest.fixture(scope="session")
def hasty() -> Iterator[Cluster]:
    """One node on SQLite: tokens live for three seconds, refreshing has no grace, one other origin is allowed."""
    hurry = {
        "ACCESS_TOKEN_SECONDS": str(HASTY_SECONDS),
        "REFRESH_GRACE_SECONDS": "0",
        "ALLOWED_ORIGINS": "https://app.example.com",
    }
    with running("sqlite", environment=hurry) as cluster:
        yield cluster


@pytest.fixture(scope="session", params=KINDS)
def stack(request: pytest.FixtureRequest) -> Cluster:
    """Either of the two, so that a test runs on both."""
    cluster: Cluster = request.getfixturevalue("embedded" if request.param == "sqlite" else "pair")
    return cluster


@pytest.fixture(scope="session")
def front_door(stack: Cluster, request: pytest.FixtureRequest) -> Door:
    """Where clients of either come in: one node has a door of its own, two have HAProxy in front of them."""
    door: Door = request.getfixturevalue("haproxy") if len(stack.nodes) > 1 else stack.nodes[0]
    return door
