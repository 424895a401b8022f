"""One web process: the hub, the ring and the periodic work that live in its event loop, from start to drain to stop."""

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

from django.conf import settings
from django.db import DatabaseError, InterfaceError

from audit_app.breaker import PartAway
from audit_app.database import in_database
from audit_app.recovery import log_failure
from audit_app.system import leave
from audit_app.watermark import SAMPLE_SECONDS, read_backlog, watermark
from audit_app.writer import writer
from erlmcp_site.slow import slow_topics
from resources_app.hub.hub import hub
from resources_app.hub.ring import Ring
from sessions_app.access.rulebook import rulebook
from sessions_app.leases import SharedBuckets
from sessions_app.limits import limits
from sessions_app.line import Line
from sessions_app.mail.boxes import mailboxes
from sessions_app.positions import positions
from sessions_app.refused import refused
from sessions_app.sessions import activity_interval, follow_control, forget, write_activity
from telemetry_app import life as telemetry
from telemetry_app.loop_lag import measure_loop_lag
from telemetry_app.metrics import WRITER_WAITING
from telemetry_app.reporter import reporter
from telemetry_app.tracing.tracer import tracer

log = logging.getLogger(__name__)


class Node:
    """The life of this process.

    `ending` is set once it has been told to end, and is not ready any more; `draining` once it lets go of its clients.
    """

    def __init__(self) -> None:
        self.ending = asyncio.Event()
        self.draining = asyncio.Event()
        self.ring: Ring | None = None
        self._line: Line | None = None
        self._started: asyncio.Future[None] | None = None
        self._starting: asyncio.Task[None] | None = None
        self._drains: list[Callable[[float], Awaitable[None]]] = []
        self._tasks: list[asyncio.Task[None]] = []
        hub.on_control(follow_control)
        hub.on_leave(positions.left)
        reporter.on_take(lambda: WRITER_WAITING.set(writer.waiting))

    def on_drain(self, drain: Callable[[float], Awaitable[None]]) -> None:
        """Call with the seconds that there are, when the process is about to end, to let go of its clients."""
        self._drains.append(drain)

    async def ensure_started(self) -> None:
        """Start, unless that has been done: servers without a lifespan come here with their first request."""
        if self._started is not None and self._started.done() and not self._started.cancelled():
            return
        await self.start()

    def start_soon(self) -> bool:
        """Whether the process has started; where nobody has told it to, it does now, in the background."""
        if self._started is None and self._starting is None:
            self._starting = asyncio.get_running_loop().create_task(self.start())
            self._starting.add_done_callback(self._begun)
        return self._started is not None and self._started.done() and not self._started.cancelled()

    def _begun(self, starting: asyncio.Task[None]) -> None:
        self._starting = None
        if not starting.cancelled() and (error := starting.exception()) is not None:
            log_failure(log, error, "this process could not start; trying again when somebody asks")

    async def start(self) -> None:
        """Follow the log; returns when the process is ready to serve. Raises what the database raises."""
        if self._started is not None:
            return await asyncio.shield(self._started)
        self._started = asyncio.get_running_loop().create_future()
        try:
            forget()
            await hub.start()
            await rulebook.read()
            self._line = Line(settings.REDIS_URL) if settings.REDIS_URL else None
            positions.start(self._line)
            mailboxes.start(self._line)
            if self._line is not None:
                limits.start(SharedBuckets(self._line))
            self.ring = Ring(hub)
            self.ring.start()
            self._spawn(self._write_activity())
            self._spawn(self._watch_trail())
            self._spawn(refused.tell_now_and_then())
            self._spawn(measure_loop_lag())
            self._spawn(slow_topics.look_now_and_then())
            telemetry.begin("web")
        except BaseException:
            self._started.cancel()
            self._started = None
            raise
        self._started.set_result(None)

    async def drain(self, within: float, notice: float = 0.0) -> None:
        """Let go of the clients within some seconds; only not ready for those of `notice` before.

        Balancers ask for our health every second or so, and send requests until they have heard: what comes meanwhile
        is served as ever.
        """
        self.ending.set()
        await asyncio.sleep(notice)
        self.draining.set()
        await asyncio.gather(*(drain(within) for drain in self._drains))

    async def stop(self) -> None:
        """Stop following, write down what is only in memory, and let the writer finish."""
        if self._started is None:
            return
        self._started = None
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._tasks.clear()
        with contextlib.suppress(Exception):
            await write_activity()
        if self.ring is not None:
            await self.ring.stop()
        await hub.stop()
        await positions.stop()
        await mailboxes.stop()
        await limits.stop()
        if self._line is not None:
            await self._line.close()
        await refused.tell_all()
        await asyncio.to_thread(writer.close)
        await asyncio.to_thread(tracer.stop)
        await asyncio.to_thread(telemetry.end)
        self.ending.clear()
        self.draining.clear()

    async def _write_activity(self) -> None:
        while True:
            await asyncio.sleep(activity_interval())
            try:
                await write_activity()
            except Exception as error:
                log_failure(log, error, "the activity of sessions could not be written; trying again")

    async def _watch_trail(self) -> None:
        """Look every second how much waits to be moved to the trail; a database that is away tells by itself."""
        while True:
            with contextlib.suppress(DatabaseError, InterfaceError, PartAway):
                was_full = watermark.is_full
                watermark.take(await in_database(read_backlog))
                if watermark.is_full is not was_full:
                    leave("node/watermark", pending=watermark.backlog.pending, is_refusing=watermark.is_full)
            await asyncio.sleep(SAMPLE_SECONDS)

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        self._tasks.append(asyncio.get_running_loop().create_task(work))


node = Node()
