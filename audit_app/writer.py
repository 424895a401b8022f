"""The writer: every durable change of this process goes through here, in group commits.

One thread, one database connection. While a batch commits, the next gathers; nobody waits on a timer. A batch is one
transaction: load what its commands touch, decide each in arrival order, write rows, events and audit entries, commit,
then answer everybody. What is answered is durable, and nothing commits without its audit entry.
"""

import asyncio
import concurrent.futures
import logging
import random
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Protocol

from django.db import DatabaseError, InterfaceError, connections, transaction
from django.db.backends.base.base import BaseDatabaseWrapper

from audit_app.bulk import Bulk, bulk, table_of
from audit_app.errors import InternalError, Refusal, Unavailable
from audit_app.models import OutboxEntry
from audit_app.trail import Entry, outbox_row
from telemetry_app.metrics import COMMIT_BATCH_SIZE, COMMIT_SECONDS

log = logging.getLogger(__name__)

MAX_BATCH = 512
MAX_WAITING = 20_000
RETRY_SECONDS = 10.0

OUTBOX = table_of(OutboxEntry, "queue", "entry")


class Stream(Protocol):
    """A stream of the log: numbers events and keeps them. Streams lock their heads in the order of their names."""

    name: str

    def append(self, db: Bulk, events: Sequence[Any], at: datetime) -> str | None:
        """Give each event its offset and insert it. Returns the transaction's id where the database has one."""


class Event(Protocol):
    """Something that a stream of the log will number and keep."""

    @property
    def stream(self) -> Stream: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """What a command comes to: its result, its events, and what its audit entry says of it.

    `result` may refer to the events: they have their offsets by the time anybody sees it.
    """

    result: Any = None
    events: Sequence[Event] = ()
    details: Mapping[str, Any] | None = None


class Store(Protocol):
    """One kind of state: how a batch of commands on it is loaded, decided and saved."""

    def load(self, db: Bulk, commands: Sequence[Any]) -> Any:
        """Read, and lock, what the commands touch; whatever it returns is handed to `decide` and `save`."""

    def decide(self, state: Any, command: Any, at: datetime) -> Decision:
        """Decide one command and remember the outcome in `state`. No I/O.

        Raises a Refusal, having changed nothing in `state`.
        """

    def save(self, db: Bulk, state: Any) -> None:
        """Write what the decisions changed; events have their offsets."""


class Command(Protocol):
    """Something to be decided by a store. `entry` is None only for upkeep that no user asked for."""

    @property
    def store(self) -> Store: ...
    @property
    def entry(self) -> Entry | None: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """No change at all, only an entry: a read, a refusal, a login that failed."""

    entry: Entry
    refusal: Refusal | None = None
    details: Mapping[str, Any] | None = None


Listener = Callable[[Sequence[Event]], None]


@dataclass(slots=True)
class Waiting:
    """A command that waits for its commit, and how to answer whoever waits for it."""

    command: Command | Record
    answer: Callable[[Any, BaseException | None], None]
    loop: asyncio.AbstractEventLoop | None = None
    result: Any = None
    error: BaseException | None = None


@dataclass(slots=True)
class Batch:
    """What one transaction came to."""

    events: list[Event] = field(default_factory=list)
    transaction_id: str | None = None
    committing: bool = False


class Writer:
    """Group commit for one process, into the database `using`."""

    def __init__(self, using: str = "default") -> None:
        self._using = using
        self._waiting: deque[Waiting] = deque()
        self._wake = threading.Event()
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None
        self._closing = False
        self._listeners: list[Listener] = []

    # -- what upper apps plug in

    def listen(self, listener: Listener) -> None:
        """Call with the events of every commit, in the writer's thread, before the answers go out."""
        self._listeners.append(listener)

    def unlisten(self, listener: Listener) -> None:
        self._listeners.remove(listener)

    # -- what callers use

    def submit(self, command: Command | Record) -> asyncio.Future[Any]:
        """Have a command committed; the future has its result, or the refusal.

        Raises Unavailable when too much waits already.
        """
        loop = asyncio.get_running_loop()
        future: asyncio.Future[Any] = loop.create_future()

        def answer(result: Any, error: BaseException | None) -> None:
            if future.done():
                return
            if error is None:
                future.set_result(result)
            else:
                future.set_exception(error)

        self._enqueue(Waiting(command, answer, loop))
        return future

    def run(self, command: Command | Record, timeout: float = 30.0) -> Any:
        """The same for callers without an event loop: Celery tasks, management commands.

        Raises the refusal; TimeoutError when `timeout` seconds passed (the command may still commit).
        """
        future: concurrent.futures.Future[Any] = concurrent.futures.Future()

        def answer(result: Any, error: BaseException | None) -> None:
            if error is None:
                future.set_result(result)
            else:
                future.set_exception(error)

        self._enqueue(Waiting(command, answer))
        return future.result(timeout)

    @property
    def waiting(self) -> int:
        """How many commands wait for their commit."""
        return len(self._waiting)

    def close(self, timeout: float = 10.0) -> None:
        """Commit what waits, then end the thread. A later submit starts it again."""
        with self._lock:
            thread, self._thread = self._thread, None
            self._closing = True
        if thread is not None:
            self._wake.set()
            thread.join(timeout)
        self._closing = False

    def _enqueue(self, waiting: Waiting) -> None:
        if len(self._waiting) >= MAX_WAITING:
            raise Unavailable("Too many changes wait to be written.")
        self._waiting.append(waiting)
        if self._thread is None:
            self._start()
        if not self._wake.is_set():
            self._wake.set()

    def _start(self) -> None:
        with self._lock:
            if self._thread is None:
                self._thread = threading.Thread(target=self._work, name="writer", daemon=True)
                self._thread.start()

    # -- the thread

    def _work(self) -> None:
        waiting = self._waiting
        try:
            while True:
                self._wake.wait()
                self._wake.clear()
                while waiting:
                    batch = [waiting.popleft() for _ in range(min(len(waiting), MAX_BATCH))]
                    self._commit(batch)
                    self._answer(batch)
                if self._closing:
                    return
        finally:
            connections[self._using].close()

    def _answer(self, items: list[Waiting]) -> None:
        by_loop: dict[asyncio.AbstractEventLoop | None, list[Waiting]] = {}
        for item in items:
            by_loop.setdefault(item.loop, []).append(item)
        for loop, group in by_loop.items():
            if loop is None:
                _settle(group)
            elif not loop.is_closed():
                loop.call_soon_threadsafe(_settle, group)

    def _commit(self, items: list[Waiting]) -> None:
        """Commit a batch: whole again when it failed for a passing reason, one by one when it failed for another."""
        until = time.monotonic() + RETRY_SECONDS
        pause = 0.005
        while True:
            batch = Batch()
            started = time.perf_counter()
            try:
                self._transact(items, batch)
            except (DatabaseError, InterfaceError) as error:
                connection = connections[self._using]
                settled = batch.committing and self._committed(connection, batch, until)
                if not settled:
                    if not _passes(error) and len(items) > 1:
                        for item in items:
                            self._commit([item])
                        return
                    if not _passes(error) or time.monotonic() >= until:
                        log.exception("a batch of %d could not be committed", len(items))
                        for item in items:
                            item.error = Unavailable("The database did not take the change.")
                        return
                    time.sleep(pause * random.uniform(0.5, 1.5))
                    pause = min(pause * 2, 0.5)
                    continue
            except Exception as error:
                log.exception("a batch of %d failed", len(items))
                if len(items) > 1:
                    for item in items:
                        self._commit([item])
                else:
                    items[0].error = InternalError()
                    items[0].error.__cause__ = error
                return
            COMMIT_SECONDS.observe(time.perf_counter() - started)
            COMMIT_BATCH_SIZE.observe(len(items))
            if batch.events:
                for listener in self._listeners:
                    listener(batch.events)
            return

    def _transact(self, items: list[Waiting], batch: Batch) -> None:
        at = datetime.now(UTC)
        outbox: list[tuple[int, str]] = []
        connection = connections[self._using]
        with transaction.atomic(using=self._using), connection.wrap_database_errors:
            db = bulk(connection)
            states = self._load(db, items)
            for item in items:
                self._decide(item, states, at, batch.events, outbox)
            self._append(db, batch, at)
            for store, state in states.items():
                store.save(db, state)
            db.insert(OUTBOX, outbox)
            batch.committing = True

    @staticmethod
    def _append(db: Bulk, batch: Batch, at: datetime) -> None:
        streams = sorted({event.stream for event in batch.events}, key=lambda stream: stream.name)
        for stream in streams:
            events = [event for event in batch.events if event.stream is stream]
            batch.transaction_id = stream.append(db, events, at)

    @staticmethod
    def _load(db: Bulk, items: Iterable[Waiting]) -> dict[Store, Any]:
        commands: dict[Store, list[Command]] = {}
        for item in items:
            if not isinstance(item.command, Record):
                commands.setdefault(item.command.store, []).append(item.command)
        return {store: store.load(db, group) for store, group in commands.items()}

    @staticmethod
    def _decide(
        item: Waiting, states: dict[Store, Any], at: datetime, events: list[Event], outbox: list[tuple[int, str]]
    ) -> None:
        command = item.command
        item.result = item.error = None
        if isinstance(command, Record):
            outbox.append(outbox_row(command.entry, command.refusal, command.details))
            return
        details: Mapping[str, Any] | None = None
        refusal: Refusal | None = None
        try:
            decision = command.store.decide(states[command.store], command, at)
        except Refusal as error:
            item.error = refusal = error
            details = error.data
        except Exception:
            log.exception("deciding %s failed", type(command).__name__)
            item.error = refusal = InternalError()
        else:
            item.result = decision.result
            events.extend(decision.events)
            details = decision.details
        if command.entry is not None:
            outbox.append(outbox_row(command.entry, refusal, details))

    def _committed(self, connection: BaseDatabaseWrapper, batch: Batch, until: float) -> bool:
        """Whether a batch whose COMMIT got no answer is in the database; asks until the database answers.

        Only PostgreSQL can leave this open. Raises nothing: past `until` the answer is False and the callers hear
        `unavailable`, whose outcome a retry with an idempotency key settles.
        """
        if connection.vendor != "postgresql" or batch.transaction_id is None:
            connection.close()
            return False
        while time.monotonic() < until:
            connection.close()
            try:
                with connection.cursor() as cursor:
                    cursor.execute("SELECT pg_xact_status(%s::text::xid8)", [batch.transaction_id])
                    (status,) = cursor.fetchone()
                if status != "in progress":
                    return bool(status == "committed")
            except (DatabaseError, InterfaceError):
                pass
            time.sleep(0.05)
        return False


def _settle(items: list[Waiting]) -> None:
    for item in items:
        item.answer(item.result, item.error)


PASSING_STATES = frozenset({"40001", "40P01", "23505", "55P03", "57P01", "57P02", "57P03", "53300"})


def _passes(error: BaseException) -> bool:
    """Whether the same batch may well succeed if it is tried again.

    Lost connections, deadlocks, a server that starts or stops, SQLite's "locked", and a unique key that another node
    took first (the retry then loads that node's row).
    """
    cause = error.__cause__ or error
    state = getattr(cause, "sqlstate", None)
    if state:
        return state in PASSING_STATES or state.startswith("08")
    text = str(error).lower()
    return "locked" in text or "connection" in text or "closed" in text or "unique" in text


writer = Writer()
