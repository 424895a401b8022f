"""PostgreSQL goes away, comes back, and has no room, while two nodes are at work on it (seed §9, docs/failures.md)."""

import asyncio
import random
import signal
import time
from collections.abc import Iterator
from contextlib import ExitStack
from functools import partial

import psycopg
import pytest

from tests.stack.answers import Refused
from tests.stack.cluster import Cluster, running
from tests.stack.creations import Creators
from tests.stack.load import Pursuer
from tests.stack.missing import missing
from tests.stack.postgres_server import PostgresServer
from tests.stack.redis_server import RedisServer
from tests.stack.scraping import metric
from tests.stack.small_disk import CannotMount, SmallDisk, small_disk
from tests.stack.waiting import PATIENCE, eventually, in_time

TABLES_MEGABYTES = 160

ALLOWED = {"unavailable", "deadline_exceeded"}
"""What a caller may be refused with because the database does not answer."""


@pytest.fixture(scope="module")
def disk() -> Iterator[SmallDisk | None]:
    """Where the tables of `mortal_postgres` lie; None where no disk of our own can be mounted."""
    with ExitStack() as mounted:
        try:
            disk = mounted.enter_context(small_disk(TABLES_MEGABYTES))
        except CannotMount:
            disk = None
        yield disk


@pytest.fixture(scope="module")
def mortal_postgres(disk: SmallDisk | None) -> Iterator[PostgresServer]:
    """A PostgreSQL that tests of this module may end."""
    server = PostgresServer(disk.folder if disk else None)
    yield server
    server.stop()


@pytest.fixture(scope="module")
def shaken_pair(mortal_postgres: PostgresServer, redis: RedisServer) -> Iterator[Cluster]:
    """Two nodes on the mortal PostgreSQL."""
    with running("postgres+redis", postgres=mortal_postgres, redis=redis, nodes=2, empty=True) as cluster:
        yield cluster


async def test_a_restart_loses_nothing_and_followers_go_on_without_a_gap(
    shaken_pair: Cluster, mortal_postgres: PostgresServer, dice: random.Random
) -> None:
    """Ended in order, and at once so that it has to recover, under load; whoever waits is answered when it is back."""
    tree = shaken_pair.tree()
    pursuers = [Pursuer(partial(shaken_pair.socket, "bob", n), f"{tree}*") for n in range(2)]
    for pursuer in pursuers:
        await pursuer.start(shaken_pair.truth.head())
    creators = Creators(shaken_pair, tree, 4)
    for by in (signal.SIGINT, signal.SIGQUIT):
        await creators.more_answers(within=30)
        mortal_postgres.end(by)
        await asyncio.sleep(dice.random())
        mortal_postgres.start_again()
        await creators.more_answers(within=30)
    await creators.stop()
    assert creators.refused <= ALLOWED
    logged = creators.check()
    for pursuer in pursuers:
        await pursuer.followed.reach(logged[-1][0], within=30)
        assert pursuer.connections == 1
        pursuer.checker.covers(logged)
        await pursuer.close()
    await creators.check_moved(within=30)


async def test_a_database_that_stays_away_is_left_alone_and_found_as_soon_as_it_is_back(
    shaken_pair: Cluster, mortal_postgres: PostgresServer
) -> None:
    """Reads are refused at once, followers stay connected, and a node that starts meanwhile waits."""
    tree = shaken_pair.tree()
    node = shaken_pair.nodes[0]
    async with shaken_pair.rest("alice") as rest, shaken_pair.rest() as operator:
        await rest.call("resources/create", uri=f"{tree}a", content=1)
        follower = Pursuer(partial(shaken_pair.socket, "bob"), f"{tree}*")
        await follower.start(shaken_pair.truth.head())
        seen = len(node.output)
        mortal_postgres.end(signal.SIGINT)

        refused = asyncio.create_task(rest.call("resources/read", {"Read-Consistency": "strong"}, uri=f"{tree}a"))

        async def is_left_alone() -> bool:
            return await metric(operator, "erlmcp_breaker_open", part="database_reads") == 1

        await eventually(is_left_alone, 30, "the database is known to be away")

        async def database_check() -> tuple[int, str]:
            health = await operator.http.get("/health/ready")
            return health.status_code, health.json()["checks"]["database"]["detail"]

        async def look() -> float:
            started = time.monotonic()
            assert await database_check() == (503, "The database is not available.")
            return time.monotonic() - started

        async def is_looked_at_anew() -> bool:
            return "no answer" not in (await database_check())[1]

        # /metrics asks as well: what it asked before the database was known to be away is still waited for
        await eventually(is_looked_at_anew, 30, "what was asked before is over")
        await in_time(look, 0.5, "that it is not ready is said")
        starting = asyncio.create_task(asyncio.to_thread(shaken_pair.add_node))
        await eventually(lambda: "waiting for" in shaken_pair.nodes[-1].output, 30, "the third node waits")
        mortal_postgres.start_again()
        await eventually(node.is_ready, 30, "the node is ready again")
        await starting
        shaken_pair.nodes.pop().kill()

        async def is_asked() -> bool:
            return not await is_left_alone()

        await eventually(is_asked, PATIENCE, "the database is asked again")
        with pytest.raises(Refused) as told:
            await refused
        assert told.value.code in ALLOWED
        assert told.value.data["category"] == "retryable"
        written = await rest.call("resources/write", uri=f"{tree}a", content=2)
        assert (await rest.call("resources/read", {"Read-Consistency": "strong"}, uri=f"{tree}a"))["content"] == 2
        await follower.followed.reach(written["offset"], within=30)
        assert follower.connections == 1
        await follower.close()
        assert await metric(operator, "erlmcp_recoveries_total", part="database", strategy="retry") > 0
        lines = node.output[seen:].splitlines()
        said = [line for line in lines if '"audit_app.breaker"' in line and "the database is" in line]
        # once each time that it goes away, however many ask; on a slow machine it may go away again as it comes back
        gone = [line for line in said if "not available, reads" in line]
        assert 1 <= len(gone) <= sum("available again" in line for line in said), said


async def test_an_audit_database_that_is_away_holds_nobody_up(
    shaken_pair: Cluster, mortal_postgres: PostgresServer
) -> None:
    """Entries wait in the outbox, and are moved when it is back."""
    tree = shaken_pair.tree()
    audit = shaken_pair.truth.audit.url.rpartition("/")[2]
    with psycopg.connect(mortal_postgres.url("postgres"), autocommit=True) as server:
        server.execute(f'ALTER DATABASE "{audit}" ALLOW_CONNECTIONS false')
        server.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s", [audit])
        try:
            creators = Creators(shaken_pair, tree, 2)
            await creators.more_answers(within=30)
            await creators.stop()
            assert shaken_pair.truth.waiting_entries() >= 100
        finally:
            server.execute(f'ALTER DATABASE "{audit}" ALLOW_CONNECTIONS true')
    assert creators.refused == set()
    creators.check()
    await creators.check_moved(within=30)


async def test_a_disk_without_room_refuses_changes_until_there_is_some(
    shaken_pair: Cluster, disk: SmallDisk | None
) -> None:
    """Nothing that was answered is lost, and nobody has to restart anything."""
    if disk is None:
        missing("only root can mount a disk that may be filled")
    tree = shaken_pair.tree()
    creators = Creators(shaken_pair, tree, 4)
    await creators.more_answers(within=30)
    disk.fill()
    await eventually(lambda: creators.refused, 30, creators.writers)
    disk.free()
    await creators.more_answers(within=30)
    await creators.stop()
    assert creators.refused == {"unavailable"}
    creators.check()
    await creators.check_moved(within=30)
