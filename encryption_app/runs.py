"""Runs of re-encryption as the writer keeps them: begun once at a time, and moved on by whoever works on them."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from datetime import datetime

import orjson

from audit_app.bulk import Bulk, Row, table_of
from audit_app.commands import Decision, Store
from audit_app.trail import Entry
from encryption_app.models import Reencryption
from encryption_app.progress import Progress

KEYS, RESOURCES, EVENTS, SESSIONS, DONE = "keys", "resources", "events", "sessions", "done"
COUNTS = {KEYS: "data_keys", RESOURCES: "resources", EVENTS: "events", SESSIONS: "sessions"}
"""What each phase counts, in the order of the phases."""

MAX_TOLD = 100
"""So many failures of a run are told one by one."""

COLUMNS = (
    *("number", "phase", "cursor", "upto", *COUNTS.values(), "failed", "failures", "waits"),
    *("started_at", "finished_at"),
)
RUNS = table_of(Reencryption, *COLUMNS)


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """A run of re-encryption (see the model)."""

    number: int
    phase: str
    cursor: str
    upto: int
    data_keys: int = 0
    resources: int = 0
    events: int = 0
    sessions: int = 0
    failed: int = 0
    failures: str = "[]"
    waits: int = 0
    started_at: datetime | None = None
    finished_at: datetime | None = None

    @property
    def row(self) -> Row:
        return tuple(getattr(self, name) for name in COLUMNS)

    @property
    def is_finished(self) -> bool:
        return self.phase == DONE

    @property
    def counts(self) -> dict[str, int]:
        """How much was changed, by what, and how much could not be."""
        return {name: getattr(self, name) for name in (*COUNTS.values(), "failed")}

    @property
    def told(self) -> list[dict[str, str]]:
        """The first things that could not be re-encrypted: `what`, whose (`subject`), and `why`."""
        found: list[dict[str, str]] = orjson.loads(self.failures)
        return found

    def after(self, step: Progress) -> "Run":
        """The run after a step of its phase."""
        phases = [*COUNTS, DONE]
        counted = COUNTS[self.phase]
        told = [*self.told, *map(asdict, step.failures)][:MAX_TOLD]
        moved = replace(
            self,
            **{counted: getattr(self, counted) + step.count},
            cursor=step.after or "",
            failed=self.failed + len(step.failures),
            failures=orjson.dumps(told).decode(),
        )
        return moved if step.after is not None else replace(moved, phase=phases[phases.index(self.phase) + 1])


@dataclass(slots=True)
class RunsOfBatch:
    """The runs of a batch by number, and which of them are new."""

    now: dict[int, Run]
    fresh: set[int] = field(default_factory=set)
    changed: set[int] = field(default_factory=set)


class RunStore(Store):
    """One store for runs."""

    def load(self, db: Bulk, commands: Sequence["BeginRun | MoveRun"]) -> RunsOfBatch:
        numbers = {command.run.number for command in commands}
        rows = db.select(RUNS, "number", numbers, lock=True)
        return RunsOfBatch({row[0]: Run(**dict(zip(COLUMNS, row, strict=True))) for row in rows})

    def decide(self, state: RunsOfBatch, command: "BeginRun | MoveRun", at: datetime) -> Decision:
        return command.apply(state, at)

    def save(self, db: Bulk, state: RunsOfBatch) -> None:
        db.insert(RUNS, [state.now[number].row for number in sorted(state.fresh)])
        db.update(RUNS, "number", [state.now[number].row for number in sorted(state.changed - state.fresh)])


STORE = RunStore()


@dataclass(frozen=True, slots=True, kw_only=True)
class BeginRun:
    """Begin a run, unless its number is taken; the result is the run of that number."""

    run: Run
    entry: Entry | None
    store: RunStore = STORE

    def apply(self, state: RunsOfBatch, at: datetime) -> Decision:
        number = self.run.number
        if number not in state.now:
            state.now[number] = replace(self.run, started_at=at)
            state.fresh.add(number)
        return Decision(result=state.now[number], details={"run": number})


@dataclass(frozen=True, slots=True, kw_only=True)
class MoveRun:
    """Move a run from where it was to where it is, unless somebody else has moved it; the result says whether it was.

    The last move leaves an entry that counts what the run has changed, and what it could not.
    """

    before: Run
    run: Run
    entry: Entry | None = None
    store: RunStore = STORE

    def apply(self, state: RunsOfBatch, at: datetime) -> Decision:
        now = state.now.get(self.run.number)
        if now is None or (now.phase, now.cursor) != (self.before.phase, self.before.cursor):
            return Decision(result=False)
        run = self.run
        state.now[run.number] = replace(run, finished_at=at) if run.is_finished else run
        state.changed.add(run.number)
        return Decision(result=True, details={"run": run.number, **run.counts})


def last_run() -> Run | None:
    """The run that was begun last. Reads the database."""
    row = Reencryption.objects.order_by("-number").values_list(*COLUMNS).first()
    return None if row is None else Run(**dict(zip(COLUMNS, row, strict=True)))
