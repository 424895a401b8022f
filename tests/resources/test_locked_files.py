"""An SQLite file that somebody else writes is waited for, not refused."""

import asyncio
import sqlite3
from collections.abc import Callable

from django.conf import settings
from django.db import connections

from audit_app.database import in_database
from audit_app.writer import Writer
from tests.resources.commands import offsets, versions, write
from tests.resources.states import URI
from tests.stack.durability import as_shipped


async def test_a_lock_of_another_connection_is_waited_for(writer: Writer) -> None:
    await writer.submit(write(0))
    other = sqlite3.connect(connections["default"].settings_dict["NAME"], isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    waiting = asyncio.ensure_future(writer.submit(write(1)))
    await asyncio.sleep(0.5)
    assert not waiting.done()
    other.execute("ROLLBACK")
    other.close()
    assert (await waiting)[0].version == 2


async def test_eight_writers_never_meet_a_lock(new_writer: Callable[[], Writer]) -> None:
    writers = [new_writer() for _ in range(8)]
    for number in range(10):
        await asyncio.gather(*(one.submit(write(number)) for one in writers))
    assert await in_database(versions, URI) == list(range(1, 81))
    assert await in_database(offsets) == list(range(1, 81))


def test_the_file_is_as_durable_as_promised(writer: Writer) -> None:
    assert settings.ON_SQLITE
    with as_shipped("default") as connection, connection.cursor() as cursor:
        cursor.execute("PRAGMA journal_mode")
        assert cursor.fetchone() == ("wal",)
        cursor.execute("PRAGMA synchronous")
        assert cursor.fetchone() == (2,)
