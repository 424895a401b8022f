"""What has to be well for this process to be given requests (docs/health.md)."""

import asyncio
import shutil
import time
from pathlib import Path

from django.conf import settings
from django.db import connection

from audit_app.breaker import PartAway
from audit_app.database import in_database
from audit_app.watermark import watermark
from audit_app.writer import MAX_WAITING, writer
from erlmcp_site.lag import Lag
from erlmcp_site.node import node
from resources_app.hub.hub import hub
from resources_app.log.head import CHANGES, bounds
from telemetry_app.health import Degraded, Unhealthy, register_check

LEAST_BYTES = 1024 * 1024
"""Of room for SQLite; with less, the next change or entry may not be written."""

MEBIBYTE = 1024 * 1024


class LogLag:
    """How far this process is behind the head of the log."""

    def __init__(self) -> None:
        self._lag = Lag()

    async def __call__(self) -> str:
        """The position. Raises Unhealthy while there is something that should have been read some seconds ago."""
        if not hub.started:
            raise Unhealthy("this process does not follow the log")
        try:
            head = (await in_database(bounds))[CHANGES].head
        except PartAway as away:
            raise Unhealthy(away.message) from None
        position = hub.position
        seconds = self._lag.look(position, head, time.monotonic())
        if self._lag.is_behind:
            raise Unhealthy(f"{head - position} events behind, for {seconds:.0f} s")
        return f"at {position} of {head}"


async def serving() -> str:
    """Raises Unhealthy once the process has been told to end."""
    if node.ending.is_set():
        raise Unhealthy("draining: this process is about to end")
    return "serving"


async def database() -> str:
    """The kind of database. Raises Unhealthy when it does not answer."""
    try:
        await in_database(_ask_database)
    except PartAway as away:
        raise Unhealthy(away.message) from None
    return connection.vendor


async def writing() -> str:
    """Raises Unhealthy when so much waits to be written that changes are about to be refused."""
    waiting = writer.waiting
    if waiting >= MAX_WAITING // 2:
        raise Unhealthy(f"{waiting} changes wait to be written")
    return f"{waiting} waiting"


async def audit() -> str:
    """Raises Unhealthy while so many audit entries wait to be moved that work is refused."""
    if watermark.is_full:
        raise Unhealthy(f"{watermark.describe()}: work is refused")
    return watermark.describe()


async def ring() -> str:
    """A ring that is down only delays, so it never makes the process unready."""
    if node.ring is None or not node.ring.is_up:
        raise Degraded("down: other processes' changes are polled")
    return "up"


async def disk() -> str:
    """The room in the folders that this process writes to: VAR_DIR, and where SQLite's files are.

    Raises Degraded when it runs short, Unhealthy when SQLite has none.
    """
    left = await asyncio.to_thread(_least_room)
    told = f"{left // MEBIBYTE} MiB left"
    if settings.ON_SQLITE and left < LEAST_BYTES:
        raise Unhealthy(f"{told}: nothing can be written")
    if left < settings.DISK_LOW_BYTES:
        raise Degraded(told)
    return told


def _ask_database() -> None:
    with connection.cursor() as cursor:
        cursor.execute("SELECT 1")


def _least_room() -> int:
    files = [
        Path(database["NAME"]) for database in settings.DATABASES.values() if database["ENGINE"].endswith("sqlite3")
    ]
    folders = {settings.VAR_DIR, *(file.parent for file in files if file.parent.is_dir())}
    return min(shutil.disk_usage(folder).free for folder in folders)


register_check("serving", serving)
register_check("database", database, is_dear=True)
register_check("log", LogLag(), is_dear=True)
register_check("writer", writing)
register_check("audit", audit)
register_check("ring", ring)
register_check("disk", disk, is_dear=True)
