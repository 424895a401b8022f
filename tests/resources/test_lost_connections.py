"""PostgreSQL ends connections whenever it likes; every answer stays true, and every change is made exactly once."""

import asyncio
import contextlib
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any

import psycopg
import pytest
from django.db import connections
from django.db.backends.postgresql.base import DatabaseWrapper as PostgreSQL
from prometheus_client import REGISTRY

from audit_app.breaker import PartAway
from audit_app.bulk import Bulk
from audit_app.commands import Record
from audit_app.database import drop_dead_connections, in_database, main_readers
from audit_app.errors import DeadlineExceeded
from audit_app.recovery import READS
from audit_app.trail import Entry
from audit_app.writer import Writer
from resources_app.hub.hub import Hub
from resources_app.log.head import CHANGES, HEADS
from resources_app.models import Event
from resources_app.queries import stored_state
from resources_app.store import ResourceStore
from tests.resources.commands import entry, offsets, versions, within, write
from tests.resources.outlets import Client, arrive, following
from tests.resources.states import URI
from tests.stack.cutting_proxy import CutAt, CuttingProxy
from tests.stack.outbox import entries
from tests.stack.waiting import eventually, in_time

TERMINATE = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s AND pid <> pg_backend_pid()"


def server(name: str = "") -> psycopg.Connection[Any]:
    """A connection of our own, past Django, to the database of the tests or another one."""
    database = connections["default"].settings_dict
    return psycopg.connect(
        host=database["HOST"],
        port=database["PORT"],
        user=database["USER"],
        dbname=name or database["NAME"],
        autocommit=True,
    )


@pytest.fixture(autouse=True)
def healed(heads: None) -> Iterator[None]:
    """The connections of the test itself are lost too: it ends with new ones."""
    yield
    connections["default"].close()
    drop_dead_connections()


def terminate_all() -> None:
    with server() as connection:
        connection.execute(TERMINATE, [connections["default"].settings_dict["NAME"]])


@contextmanager
def held_head() -> Iterator[None]:
    """Holds the row lock that orders commits."""
    with server() as connection, connection.transaction():
        connection.execute(f"SELECT 1 FROM {HEADS} WHERE stream = %s FOR UPDATE", [CHANGES])
        yield


class CutStore(ResourceStore):
    """Loses its connection just before the batch commits, once."""

    def __init__(self) -> None:
        self.is_cut = False

    def save(self, db: Bulk, state: Any) -> None:
        super().save(db, state)
        if not self.is_cut:
            self.is_cut = True
            terminate_all()


@dataclass(frozen=True, eq=False, kw_only=True)
class Cut:
    """A change of resources by a store that loses its connection."""

    changes: Sequence[Any]
    store: CutStore
    entry: Entry | None
    is_batch: bool = False
    trace: None = None
    keys: Mapping[str, Any] = field(default_factory=dict)


async def test_a_connection_that_ended_while_idle_is_not_noticed(writer: Writer) -> None:
    for version in range(1, 6):
        (event,) = await writer.submit(write(version))
        assert event.version == version
        await asyncio.to_thread(terminate_all)
    assert await in_database(offsets) == [1, 2, 3, 4, 5]


async def test_a_batch_whose_connection_ends_before_its_commit_is_made_once(writer: Writer) -> None:
    cut = Cut(changes=write(1).changes, store=CutStore(), entry=entry())
    answers = await asyncio.gather(writer.submit(cut), writer.submit(write(2)), writer.submit(Record(entry=entry())))
    assert sorted([answers[0][0].version, answers[1][0].version]) == [1, 2]
    assert await in_database(versions, URI) == [1, 2]
    assert await in_database(offsets) == [1, 2]
    assert len(await in_database(entries)) == 3


@contextmanager
def slow_commits() -> Iterator[None]:
    """Every COMMIT of changes takes a minute."""
    table = Event._meta.db_table
    with server() as connection:
        connection.execute(
            "CREATE FUNCTION wait_a_minute() RETURNS trigger LANGUAGE plpgsql"
            " AS 'BEGIN PERFORM pg_sleep(60); RETURN NULL; END'"
        )
        connection.execute(
            f"CREATE CONSTRAINT TRIGGER slow AFTER INSERT ON {table} DEFERRABLE INITIALLY DEFERRED"
            " FOR EACH ROW EXECUTE FUNCTION wait_a_minute()"
        )
    try:
        yield
    finally:
        with server() as connection:
            connection.execute(f"DROP TRIGGER slow ON {table}")
            connection.execute("DROP FUNCTION wait_a_minute()")


@contextmanager
def nobody_connects() -> Iterator[None]:
    """The database ends every connection, and takes no new ones."""
    name = connections["default"].settings_dict["NAME"]
    pool = connections["default"].pool  # type: ignore[attr-defined]
    patience, pool.timeout = pool.timeout, 1.0
    with server("postgres") as connection:
        connection.execute(f'ALTER DATABASE "{name}" ALLOW_CONNECTIONS false')
        try:
            connection.execute(TERMINATE, [name])
            yield
        finally:
            pool.timeout = patience
            connection.execute(f'ALTER DATABASE "{name}" ALLOW_CONNECTIONS true')


def commits_wait() -> bool:
    with server() as connection:
        row = connection.execute("SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'PgSleep'").fetchone()
    return bool(row and row[0])


async def test_a_commit_that_was_lost_and_cannot_be_asked_about_in_time_is_not_denied(writer: Writer) -> None:
    await writer.submit(write(1))
    with slow_commits():
        with within(6):
            late = writer.submit(write(2))
        await eventually(lambda: asyncio.to_thread(commits_wait), 5, "the commit waits")
        with nobody_connects(), pytest.raises(DeadlineExceeded) as refused:
            await late
    assert refused.value.data == {"outcome": "unknown"}
    assert await in_database(versions, URI) == [1]


@pytest.fixture
def proxy(heads: None) -> Iterator[CuttingProxy]:
    """All connections of this process pass it."""
    port = connections["default"].settings_dict["PORT"]
    proxy = CuttingProxy(int(port))
    connect_to(proxy.port)
    yield proxy
    connect_to(port)
    proxy.close()


def connect_to(port: int) -> None:
    """New connections go to another port, and there are only new ones."""
    database = connections["default"]
    assert isinstance(database, PostgreSQL)
    database.close()
    database.close_pool()
    database.settings_dict["PORT"] = port


@pytest.mark.parametrize("cut", ["before", "after"])
async def test_a_commit_whose_answer_is_lost_is_made_once_whatever_became_of_it(
    proxy: CuttingProxy, writer: Writer, cut: CutAt
) -> None:
    """The COMMIT never arrived, or it did and only its answer is lost: the writer finds out before it does anything."""
    await writer.submit(write(0))
    for number in range(1, 6):
        proxy.cut_at = cut
        answers = await asyncio.gather(
            *(writer.submit(write(number, f"{URI}/{n}")) for n in range(3)),
            writer.submit(write(number)),
            writer.submit(Record(entry=entry())),
        )
        assert [answer[0].version for answer in answers[:4]] == [number, number, number, number + 1]
    assert proxy.cuts == 5
    assert await in_database(versions, URI) == [1, 2, 3, 4, 5, 6]
    assert await in_database(offsets) == list(range(1, 22))
    written = await in_database(entries)
    assert len(written) == len({one["id"] for one in written}) == 26


async def test_under_load_every_answered_change_is_made_exactly_once(
    writer: Writer, new_writer: Callable[[], Writer]
) -> None:
    other, stop, begun = new_writer(), threading.Event(), threading.Event()

    cuts = rounds = 0

    def cut_again_and_again() -> None:
        nonlocal cuts
        while not stop.wait(0.05):
            # at most once a round: however slow the machine is, there is a moment for a commit
            if begun.is_set():
                begun.clear()
                terminate_all()
                cuts += 1

    cutting = asyncio.create_task(asyncio.to_thread(cut_again_and_again))
    try:
        while rounds < 40 or cuts < 5:
            begun.set()
            await asyncio.gather(
                *(one.submit(write(rounds, f"{URI}/{n}")) for n in range(10) for one in (writer, other))
            )
            rounds += 1
    finally:
        stop.set()
    await cutting
    found = await in_database(offsets)
    assert found == list(range(1, 20 * rounds + 1))
    for n in range(10):
        assert await in_database(versions, f"{URI}/{n}") == list(range(1, 2 * rounds + 1))
    written = await in_database(entries)
    assert len(written) == len({one["id"] for one in written}) == 20 * rounds


async def test_a_commit_that_sleeps_holds_the_others_back_and_everybody_sees_both_in_order(
    hub: Hub, writer: Writer
) -> None:
    client = Client()
    hub.begin(await hub.follow(following(URI), client))
    with held_head():
        waiting = asyncio.ensure_future(writer.submit(write(1)))
        await asyncio.sleep(0.3)
        assert not waiting.done()
        assert client.offsets == []
    await waiting
    await writer.submit(write(2))
    await arrive(client, 2)
    assert client.offsets == [1, 2]


async def test_a_read_whose_connection_ended_is_made_again(writer: Writer) -> None:
    await writer.submit(write(1))
    for _ in range(5):
        await asyncio.to_thread(terminate_all)
        states = await asyncio.gather(*(in_database(stored_state, URI) for _ in range(8)))
        assert all(state is not None and state.version == 1 for state in states)


async def test_while_no_database_answers_reads_are_refused_at_once_and_no_cache_deceives(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """What needs no database says nothing about it: only a trial that has asked one lets the others in again."""
    monkeypatch.setattr(main_readers, "strategy", replace(READS, retry_seconds=0.1))
    with nobody_connects():
        with pytest.raises(PartAway):
            await in_database(offsets)

        async def be_refused() -> float:
            started = time.monotonic()
            refusals = await asyncio.gather(*(in_database(int) for _ in range(100)), return_exceptions=True)
            assert {type(refusal) for refusal in refusals} == {PartAway}
            return time.monotonic() - started

        await in_time(be_refused, READS.rest_seconds, "a hundred reads are refused")
        with pytest.raises(PartAway):
            await in_database(int)

    async def is_let_in() -> bool:
        with contextlib.suppress(PartAway):
            return await in_database(offsets) == []
        return False

    await eventually(is_let_in, 30, "a read is answered")
    assert REGISTRY.get_sample_value("erlmcp_breaker_open", {"part": "database_reads"}) == 0


async def test_a_replay_goes_on_when_its_connection_ended(hub: Hub, writer: Writer) -> None:
    await asyncio.gather(*(writer.submit(write(number)) for number in range(300)))
    clients = [Client() for _ in range(10)]
    for client in clients:
        hub.begin(await hub.follow(following(URI, after=0, batch_size=10), client))
        await asyncio.to_thread(terminate_all)
    for client in clients:
        await arrive(client, 300)
        assert client.offsets == list(range(1, 301))
        assert client.cuts == 0
