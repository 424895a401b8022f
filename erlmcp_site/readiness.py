"""What has to be well for this process to be given requests."""

import time

from django.db import connection

from audit_app.breaker import PartAway
from audit_app.database import in_database
from audit_app.watermark import watermark
from audit_app.writer import MAX_WAITING, writer
from erlmcp_site.node import node
from resources_app.hub.hub import hub
from resources_app.log.head import CHANGES, bounds
from telemetry_app.health import Unhealthy, register_check

MAX_LAG_SECONDS = 5.0


class LogLag:
    """How far this process is behind the head of the log, and since when without getting on."""

    def __init__(self) -> None:
        self._position = -1
        self._at = 0.0

    async def __call__(self) -> str:
        """The position. Raises Unhealthy when there is more to read and nothing has been read for some seconds."""
        if not hub.started:
            raise Unhealthy("this process does not follow the log")
        try:
            head = (await in_database(bounds))[CHANGES].head
        except PartAway as away:
            raise Unhealthy(away.message) from None
        now = time.monotonic()
        if hub.position != self._position or hub.position >= head:
            self._position, self._at = hub.position, now
        if now - self._at > MAX_LAG_SECONDS:
            raise Unhealthy(f"{head - hub.position} events behind, for {now - self._at:.0f} s")
        return f"at {hub.position} of {head}"


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
    return "up" if node.ring is not None and node.ring.is_up else "down: other processes' changes are polled"


def _ask_database() -> None:
    with connection.cursor() as cursor:
        cursor.execute("SELECT 1")


register_check("serving", serving)
register_check("database", database)
register_check("log", LogLag())
register_check("writer", writing)
register_check("audit", audit)
register_check("ring", ring)
