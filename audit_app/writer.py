"""The writer: every durable change of this process goes through here, in group commits.

One thread, one database connection. While a batch commits, the next gathers (`gathering.py`). A batch is one
transaction: load what its commands touch, decide each in arrival order, write rows, events and audit entries, commit,
then answer everybody. What is answered is durable, and nothing commits without its audit entry.
"""

import asyncio
import concurrent.futures
import contextlib
import logging
import math
import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from django.db import DatabaseError, InterfaceError, connections, transaction

from audit_app.batch_spans import batch_span
from audit_app.breaker import Breaker, PartAway
from audit_app.bulk import Bulk, bulk, table_of
from audit_app.commands import Command, Decision, Event, Record, Store
from audit_app.commits import is_committed
from audit_app.database import drop_dead_connections
from audit_app.deadlines import deadline
from audit_app.errors import Again, DeadlineExceeded, InternalError, Refusal, Unavailable
from audit_app.failures import category_of, lost_race, passes
from audit_app.gathering import Gathering, Waiting
from audit_app.idempotency import Keys
from audit_app.models import OutboxEntry
from audit_app.once import Replayed
from audit_app.recovery import WRITES, pauses, refusal_of
from audit_app.trail import outbox_row
from telemetry_app.metrics import COMMIT_BATCH_SIZE, COMMIT_SECONDS

log = logging.getLogger(__name__)

MAX_WAITING = 20_000
MAX_RACES = 5
LATE_SECONDS = 1.0
NOT_DONE = "not_done"
UNKNOWN = "unknown"

OUTBOX = table_of(OutboxEntry, "queue", "entry")


Listener = Callable[[Sequence[Event]], None]


@dataclass(slots=True)
class Attempt:
    """What one transaction came to. `transaction_id` is set when all that is left is the COMMIT, on PostgreSQL only.

    `is_recording`: it got as far as the audit entries, and no further.
    """

    events: list[Event] = field(default_factory=list)
    outbox: list[tuple[int, str]] = field(default_factory=list)
    transaction_id: str | None = None
    error: Exception | None = None
    is_recording: bool = False


class Writer:
    """Group commit for one process, into the database `using`."""

    def __init__(self, using: str = "default") -> None:
        self._using = using
        self._gathering = Gathering()
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None
        self._closing: threading.Thread | None = None
        self._listeners: list[Listener] = []
        self._counters: list[Callable[[int], None]] = []
        self._breaker = Breaker(WRITES, counts=passes)

    # -- what upper apps plug in

    def listen(self, listener: Listener) -> None:
        """Call with the events of every commit, in the writer's thread, before the answers go out."""
        self._listeners.append(listener)

    def count_entries(self, counter: Callable[[int], None]) -> None:
        """Call with the number of entries of every commit, in the writer's thread; it must not raise."""
        self._counters.append(counter)

    def unlisten(self, listener: Listener) -> None:
        self._listeners.remove(listener)

    # -- what callers use

    def submit(self, command: Command | Record) -> asyncio.Future[Any]:
        """Have a command committed; the future has its result, the refusal, or Replayed.

        What has not begun by the deadline of the present request is refused, DeadlineExceeded, and not done. Raises
        Unavailable when too much waits already.
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

        self._enqueue(Waiting(command, answer, loop, deadline.get()))
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

    def note(self, record: Record) -> None:
        """Have an entry committed that nobody waits for; when too much waits already, the log says that it is lost."""
        try:
            self._enqueue(Waiting(record, _nobody))
        except Unavailable:
            log.error("an entry of %s was lost: too many changes wait to be written", record.entry.action)

    @property
    def waiting(self) -> int:
        """How many commands wait for their commit."""
        return len(self._gathering)

    def close(self, timeout: float = 10.0) -> None:
        """Commit what waits, then end the thread. A later submit starts it again.

        Returns after `timeout` seconds at the latest, be it that others go on to submit.
        """
        until = time.monotonic() + timeout
        with self._lock:
            # one that was asked before, and not waited for long enough, may be at its end only now
            ending = [thread for thread in (self._closing, self._thread) if thread is not None]
            self._closing = self._thread or self._closing
        if ending:
            self._gathering.ring()
        for thread in ending:
            thread.join(max(0.0, until - time.monotonic()))

    def _enqueue(self, waiting: Waiting) -> None:
        if len(self._gathering) >= MAX_WAITING:
            raise Unavailable("Too many changes wait to be written.")
        with self._lock:
            self._gathering.add(waiting)
            if self._thread is None:
                self._thread = threading.Thread(target=self._work, name="writer", daemon=True)
                self._thread.start()
        self._gathering.tell(waiting)

    # -- the thread

    def _work(self) -> None:
        gathering, last = self._gathering, 0
        try:
            while not self._may_end():
                gathering.wait()
                while gathering:
                    batch = gathering.take(last, at_once=self._is_ending)
                    last = len(batch)
                    patience = 0.0 if self._breaker.is_open else WRITES.retry_seconds
                    with batch_span(batch, self._using):
                        self._commit(batch, min(time.monotonic() + patience, _latest(batch)))
                    self._answer(batch)
        finally:
            connections[self._using].close()

    @property
    def _is_ending(self) -> bool:
        """Whether this thread is to end."""
        return self._closing is threading.current_thread()

    def _may_end(self) -> bool:
        """Whether this thread is to end, and nothing waits; the next command then starts another one."""
        with self._lock:
            ends = self._is_ending and not self._gathering
            if ends:
                self._thread = None
            return ends

    def _answer(self, items: list[Waiting]) -> None:
        by_loop: dict[asyncio.AbstractEventLoop | None, list[Waiting]] = {}
        for item in items:
            by_loop.setdefault(item.loop, []).append(item)
        for loop, group in by_loop.items():
            if loop is None:
                _settle(group)
            else:
                # a loop that is closed has nobody left who waits
                with contextlib.suppress(RuntimeError):
                    loop.call_soon_threadsafe(_settle, group)

    def _commit(self, items: list[Waiting], until: float) -> None:
        """Commit a batch, or leave its error in every item.

        A batch that failed for a reason that passes is tried again as a whole, one that failed for a reason of its own
        is committed one by one, so that each command answers for itself.
        """
        attempt = self._attempt(items)
        for races, pause in enumerate(pauses(until)):
            error = attempt.error
            if error is None or not (category_of(error) == "retryable" or (lost_race(error) and races < MAX_RACES)):
                break
            # bounded, and with jitter: see pauses
            time.sleep(pause)
            attempt = self._attempt(items)
        error = attempt.error
        if error is None:
            self._tell(attempt.events)
        elif len(items) > 1 and not passes(error):
            for item in items:
                self._commit([item], until)
            return
        else:
            for item in items:
                item.error = self._late(item, attempt) if item.is_late else _refusal(attempt, error)
        if error is None or passes(error):
            # said once, and the next batches are not held up
            with contextlib.suppress(PartAway), self._breaker.guard():
                if error is not None:
                    raise error
        else:
            entry = items[0].command.entry
            log.error("request %s could not be committed", entry.request_id if entry else "of nobody", exc_info=error)

    def _late(self, item: Waiting, attempt: Attempt) -> Refusal:
        """The refusal of a command that could not be done by its deadline; its entry goes with another batch."""
        # a COMMIT that the database has not answered, nor was asked about in time, may have been made; what has a key
        # may have been done under it before
        is_open = attempt.transaction_id is not None or item.once is not None
        refusal = DeadlineExceeded(outcome=UNKNOWN if is_open else NOT_DONE)
        entry = item.command.entry
        if entry is not None and not isinstance(item.command, Record):
            self.note(Record(entry=entry, refusal=refusal, details=refusal.data))
        return refusal

    def _attempt(self, items: list[Waiting]) -> Attempt:
        """One transaction, with an outcome that is known unless the database stays away."""
        attempt = Attempt()
        started = time.perf_counter()
        try:
            self._transact(items, attempt)
        except (DatabaseError, InterfaceError) as error:
            connections[self._using].close()
            drop_dead_connections()
            entry = attempt.outbox[0][1] if attempt.outbox else None
            if attempt.transaction_id is None or not is_committed(self._using, attempt.transaction_id, entry):
                attempt.error = error
        except Exception as error:
            attempt.error = error
        if attempt.error is None:
            self._recorded(len(attempt.outbox))
            COMMIT_SECONDS.observe(time.perf_counter() - started)
            COMMIT_BATCH_SIZE.observe(len(items))
        return attempt

    def _recorded(self, count: int) -> None:
        for counter in list(self._counters) if count else ():
            counter(count)

    def _tell(self, events: Sequence[Event]) -> None:
        for listener in list(self._listeners) if events else ():
            try:
                listener(events)
            except Exception:
                log.exception("a listener failed on a commit")

    def _transact(self, items: list[Waiting], attempt: Attempt) -> None:
        at = datetime.now(UTC)
        connection = connections[self._using]
        with (
            transaction.atomic(using=self._using),
            connection.wrap_database_errors,
            contextlib.closing(bulk(connection)) as db,
        ):
            if (seconds := _latest(items) - time.monotonic()) < WRITES.retry_seconds:
                # of a batch that is late already only the entries are left to be written
                db.limit(seconds if seconds > 0 else LATE_SECONDS)
            states = self._load(db, items)
            keys = Keys(db, [item.once.key for item in items if item.once is not None], at)
            for item in items:
                self._decide(item, states, keys, at, attempt.events, attempt.outbox)
            self._append(db, attempt.events, at)
            for store, state in states.items():
                store.save(db, state)
            self._keep(db, keys, items)
            attempt.is_recording = True
            attempt.transaction_id = db.insert_last(OUTBOX, attempt.outbox)
            attempt.is_recording = False

    @staticmethod
    def _append(db: Bulk, events: Sequence[Event], at: datetime) -> None:
        for stream in sorted({event.stream for event in events}, key=lambda stream: stream.name):
            stream.append(db, [event for event in events if event.stream is stream], at)

    @staticmethod
    def _keep(db: Bulk, keys: Keys, items: Iterable[Waiting]) -> None:
        """Keep the answers to what was done under a key; what was done before is answered as it was then."""
        keys.save(db)
        for item in items:
            if item.is_replay and item.once is not None:
                item.error = Replayed(keys.answer(item.once.key))

    @staticmethod
    def _load(db: Bulk, items: Iterable[Waiting]) -> dict[Store, Any]:
        commands: dict[Store, list[Command]] = {}
        for item in items:
            if not isinstance(item.command, Record):
                commands.setdefault(item.command.store, []).append(item.command)
        # in one order in all processes: those that lock rows of several stores do not wait for each other in a ring
        ordered = sorted(commands.items(), key=lambda item: type(item[0]).__name__)
        return {store: store.load(db, group) for store, group in ordered}

    @staticmethod
    def _decide(
        item: Waiting,
        states: dict[Store, Any],
        keys: Keys,
        at: datetime,
        events: list[Event],
        outbox: list[tuple[int, str]],
    ) -> None:
        command = item.command
        item.result = item.error = None
        item.is_replay = False
        details: Mapping[str, Any] | None = None
        refusal = command.refusal if isinstance(command, Record) else None
        try:
            decision = _decision(item, states, keys, at)
        except Refusal as error:
            # its traceback would keep this transaction's cursor, for another thread to close in the middle of the next
            item.error = refusal = error.with_traceback(None)
            details = error.data
        except Exception:
            entry = command.entry
            log.exception("deciding %s of request %s failed", type(command).__name__, entry and entry.request_id)
            item.error = refusal = InternalError()
        else:
            item.result = decision.result
            events.extend(decision.events)
            details = decision.details
        if command.entry is not None and not isinstance(refusal, Again):
            row = outbox_row(command.entry, refusal, details)
            if row is not None:
                outbox.append(row)


def _latest(items: Iterable[Waiting]) -> float:
    """The moment, of the monotonic clock, from which on nobody waits for any of these."""
    return max(math.inf if item.deadline is None else item.deadline for item in items)


def _refusal(attempt: Attempt, error: Exception) -> Refusal:
    """What callers hear of a transaction that failed. One whose entries could not be written may succeed later."""
    if not attempt.is_recording:
        return refusal_of(error)
    refusal = Unavailable("The audit trail does not take it now.")
    refusal.__cause__ = error
    return refusal


def _nobody(result: Any, error: BaseException | None) -> None:
    """The answer to what nobody waits for."""


def _decision(item: Waiting, states: dict[Store, Any], keys: Keys, at: datetime) -> Decision:
    """What an item of a batch comes to. Raises the refusal."""
    command, once = item.command, item.once
    if isinstance(command, Record):
        if item.is_late and command.refusal is None:
            raise DeadlineExceeded()
        return Decision(details=command.details)
    if once is not None and keys.is_done(once.key):
        item.is_replay = True
        return Decision(details={"replayed": True})
    if item.is_late:
        raise DeadlineExceeded(outcome=NOT_DONE)
    decision = command.store.decide(states[command.store], command, at)
    if once is not None:
        keys.add(once, decision.result)
    return decision


def _settle(items: list[Waiting]) -> None:
    for item in items:
        item.answer(item.result, item.error)


writer = Writer()
