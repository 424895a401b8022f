"""Second factors as the writer keeps them: enrolled, used, withdrawn.

A code is used in one place, the writer's transaction with the factor's row locked, so of any number of uses in
parallel, on any number of nodes, exactly one succeeds.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import singledispatch
from typing import Any

import orjson

from audit_app.bulk import Bulk, Row, table_of
from audit_app.commands import Decision, Store
from audit_app.trail import Entry
from sessions_app.errors import AlreadyEnrolled, NotEnrolled, WrongCode
from sessions_app.models import SecondFactor

FACTORS = table_of(SecondFactor, "user", "id", "last_step", "recovery")
FRESH = table_of(SecondFactor, "id", "user", "sealed", "last_step", "recovery", "enrolled_at")
USED = table_of(SecondFactor, "id", "last_step", "recovery")
IDS = table_of(SecondFactor, "id")


@dataclass(frozen=True, slots=True, kw_only=True)
class Factor:
    """A second factor as decisions see it; `recovery` are the hashes of the codes that are left."""

    id: str
    last_step: int
    recovery: tuple[str, ...]


@dataclass(slots=True)
class FactorsOfBatch:
    """The factors of one batch, by their users, as the decisions so far have left them."""

    now: dict[str, Factor]
    fresh: dict[str, "EnrolFactor"] = field(default_factory=dict)
    changed: set[str] = field(default_factory=set)
    dropped: list[str] = field(default_factory=list)
    at: datetime | None = None


class FactorStore(Store):
    """One store for all second factors."""

    def load(self, db: Bulk, commands: Sequence["FactorCommand"]) -> FactorsOfBatch:
        users = {int(command.user_id) for command in commands}
        rows = db.select(FACTORS, "user_id", users, lock=True)
        return FactorsOfBatch({str(user): _factor(id, step, left) for user, id, step, left in rows})

    def decide(self, state: FactorsOfBatch, command: "FactorCommand", at: datetime) -> Decision:
        state.at = at
        return decide(command, state)

    def save(self, db: Bulk, state: FactorsOfBatch) -> None:
        db.delete(IDS, "id", state.dropped)
        if state.at is not None:
            db.insert(FRESH, [_fresh(command, state.now[user], state.at) for user, command in state.fresh.items()])
        changed = (state.now[user] for user in sorted(state.changed - state.fresh.keys()))
        db.update(USED, "id", [(factor.id, factor.last_step, _listed(factor.recovery)) for factor in changed])


STORE = FactorStore()


@dataclass(frozen=True, slots=True, kw_only=True)
class EnrolFactor:
    """Give a user a second factor; `step` is that of the code that has confirmed it, `recovery` are hashes of codes."""

    factor: str
    user_id: str
    sealed: bytes
    step: int
    recovery: tuple[str, ...]
    entry: Entry | None
    store: FactorStore = STORE


@dataclass(frozen=True, slots=True, kw_only=True)
class UseCode:
    """Use a code of a second factor: one of a time `step`, or a recovery code by its `digest`; or show a wrong one."""

    factor: str
    user_id: str
    step: int | None
    digest: str
    entry: Entry | None
    store: FactorStore = STORE


@dataclass(frozen=True, slots=True, kw_only=True)
class WithdrawFactor:
    """Take a user's second factor away."""

    factor: str
    user_id: str
    why: str
    entry: Entry | None
    store: FactorStore = STORE


FactorCommand = EnrolFactor | UseCode | WithdrawFactor


@singledispatch
def decide(command: FactorCommand, state: FactorsOfBatch) -> Decision:
    """Decide one command, and remember the outcome in `state`."""
    raise TypeError(f"no decision for {type(command).__name__}")


@decide.register
def _enrol(command: EnrolFactor, state: FactorsOfBatch) -> Decision:
    if command.user_id in state.now:
        raise AlreadyEnrolled()
    state.now[command.user_id] = Factor(id=command.factor, last_step=command.step, recovery=command.recovery)
    state.fresh[command.user_id] = command
    return Decision(details={"recovery_codes": len(command.recovery)})


@decide.register
def _use(command: UseCode, state: FactorsOfBatch) -> Decision:
    factor = state.now.get(command.user_id)
    if factor is None or factor.id != command.factor:
        raise WrongCode(why="it is of a factor that was withdrawn")
    if command.step is not None and command.step > factor.last_step:
        after = replace(factor, last_step=command.step)
        details: dict[str, Any] = {"kind": "code"}
    elif command.digest in factor.recovery:
        after = replace(factor, recovery=tuple(left for left in factor.recovery if left != command.digest))
        details = {"kind": "recovery code", "recovery_codes": len(after.recovery)}
    else:
        raise WrongCode(why="it is wrong" if command.step is None else "it was used before")
    state.now[command.user_id] = after
    state.changed.add(command.user_id)
    return Decision(details=details)


@decide.register
def _withdraw(command: WithdrawFactor, state: FactorsOfBatch) -> Decision:
    factor = state.now.get(command.user_id)
    if factor is None or factor.id != command.factor:
        raise NotEnrolled()
    del state.now[command.user_id]
    state.changed.discard(command.user_id)
    if state.fresh.pop(command.user_id, None) is None:
        state.dropped.append(factor.id)
    return Decision(details={"why": command.why})


def _factor(id: str, last_step: int, recovery: str) -> Factor:
    return Factor(id=id, last_step=last_step, recovery=tuple(orjson.loads(recovery)))


def _listed(recovery: Sequence[str]) -> str:
    return orjson.dumps(recovery).decode()


def _fresh(command: EnrolFactor, factor: Factor, at: datetime) -> Row:
    recovery = _listed(factor.recovery)
    return (factor.id, int(command.user_id), command.sealed, factor.last_step, recovery, at)
