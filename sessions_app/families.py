"""Token families as the writer keeps them: opened by a login, rotated by a refresh, ended by a revocation.

A refresh token is used in one place, the writer's transaction with the family's row locked, so of any number of uses in
parallel, on any number of nodes, exactly one succeeds.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import singledispatch

import orjson
from django.conf import settings

from audit_app.bulk import Bulk, Row, table_of
from audit_app.commands import Decision, Store
from audit_app.trail import Entry
from resources_app.log.control import ControlEvent
from sessions_app.errors import RefreshReused, Unauthenticated
from sessions_app.models import ApiKey, TokenFamily

FAMILIES = table_of(TokenFamily, "id", "current", "spent", "rotated_at", "revoked_at", "expires_at", "user")
FRESH = table_of(
    TokenFamily, "id", "user", "current", "spent", "session_id", "created_at", "rotated_at", "revoked_at", "expires_at"
)
API_KEYS = table_of(ApiKey, "id")
MAX_SPENT = 100


class RefreshStolen(RefreshReused):
    """This refresh token was used long before: all tokens of its login are revoked."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Family:
    """A family as decisions see it. `spent` maps the ids of used refresh tokens to when they were used (Unix time)."""

    id: str
    user_id: str
    current: str
    spent: dict[str, float]
    rotated_at: datetime | None = None
    revoked_at: datetime | None = None
    expires_at: datetime


def rotate(family: Family | None, command: "RotateFamily", at: datetime) -> Family:
    """The family after a refresh token was used.

    Raises Unauthenticated when the family has ended, RefreshReused for a token used a moment ago (a client's own
    parallel requests look like that), RefreshStolen for any older one.
    """
    if family is None or family.revoked_at is not None or family.expires_at <= at:
        raise Unauthenticated("The login that this token belongs to has ended.")
    now = at.timestamp()
    spent = {token: used for token, used in family.spent.items() if used >= now - settings.REFRESH_GRACE_SECONDS}
    if command.token_id != family.current:
        raise RefreshReused() if command.token_id in spent else RefreshStolen()
    recent = dict(list(spent.items())[-MAX_SPENT:])
    return replace(
        family,
        current=command.next_id,
        spent=recent | {command.token_id: now},
        rotated_at=at,
        expires_at=command.expires_at,
    )


@dataclass(slots=True)
class FamiliesOfBatch:
    """The families of one batch as the decisions so far have left them."""

    now: dict[str, Family]
    fresh: dict[str, "OpenFamily"] = field(default_factory=dict)
    changed: set[str] = field(default_factory=set)
    dropped: set[str] = field(default_factory=set)
    at: datetime | None = None


class FamilyStore(Store):
    """One store for all families."""

    def load(self, db: Bulk, commands: Sequence["FamilyCommand"]) -> FamiliesOfBatch:
        ids = [command.family for command in commands if isinstance(command, RotateFamily | RevokeFamily)]
        return FamiliesOfBatch({row[0]: _family(row) for row in db.select(FAMILIES, "id", ids, lock=True)})

    def decide(self, state: FamiliesOfBatch, command: "FamilyCommand", at: datetime) -> Decision:
        state.at = at
        return decide(command, state, at)

    def save(self, db: Bulk, state: FamiliesOfBatch) -> None:
        if state.at is not None:
            db.insert(
                FRESH,
                [
                    fresh_family(command.family, command.user_id, command.token_id, command.expires_at, state.at)
                    for command in state.fresh.values()
                ],
            )
        db.update(FAMILIES, "id", [_row(state.now[id]) for id in sorted(state.changed)])
        db.delete(FAMILIES, "id", sorted(state.dropped))
        db.delete(API_KEYS, "id", sorted(state.dropped))


STORE = FamilyStore()


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenFamily:
    """Begin a family with its first refresh token; its `scope` stands in its tokens, here it is for the entry."""

    family: str
    user_id: str
    token_id: str
    expires_at: datetime
    entry: Entry | None
    scope: str = ""
    store: FamilyStore = STORE


@dataclass(frozen=True, slots=True, kw_only=True)
class RotateFamily:
    """Use a refresh token (`token_id`); `next_id` is the one that may be used next."""

    family: str
    token_id: str
    next_id: str
    expires_at: datetime
    entry: Entry | None
    store: FamilyStore = STORE


@dataclass(frozen=True, slots=True, kw_only=True)
class RevokeFamily:
    """End a family with all its tokens. One that has ended, or never was, is left as it is; the result says which."""

    family: str
    why: str
    entry: Entry | None
    store: FamilyStore = STORE


@dataclass(frozen=True, slots=True, kw_only=True)
class DropFamilies:
    """Forget families whose tokens have all expired, API keys among them; the result counts."""

    families: Sequence[str]
    entry: Entry | None = None
    store: FamilyStore = STORE


FamilyCommand = OpenFamily | RotateFamily | RevokeFamily | DropFamilies


@singledispatch
def decide(command: FamilyCommand, state: FamiliesOfBatch, at: datetime) -> Decision:
    """Decide one command, and remember the outcome in `state`."""
    raise TypeError(f"no decision for {type(command).__name__}")


@decide.register
def _open(command: OpenFamily, state: FamiliesOfBatch, at: datetime) -> Decision:
    state.fresh[command.family] = command
    scope = {"scope": command.scope} if command.scope else {}
    return Decision(details={"family": command.family} | scope)


@decide.register
def _rotate(command: RotateFamily, state: FamiliesOfBatch, at: datetime) -> Decision:
    state.now[command.family] = rotate(state.now.get(command.family), command, at)
    state.changed.add(command.family)
    return Decision(details={"family": command.family})


@decide.register
def _revoke(command: RevokeFamily, state: FamiliesOfBatch, at: datetime) -> Decision:
    family = state.now.get(command.family)
    details = {"family": command.family, "why": command.why}
    if family is None or family.revoked_at is not None:
        return Decision(result=False, details=details)
    state.now[family.id] = replace(family, revoked_at=at)
    state.changed.add(family.id)
    event = ControlEvent(kind="family.revoked", subject=family.id, data={"user": family.user_id, "why": command.why})
    return Decision(result=True, events=[event], details=details)


@decide.register
def _drop(command: DropFamilies, state: FamiliesOfBatch, at: datetime) -> Decision:
    state.dropped.update(command.families)
    return Decision(result=len(command.families))


def _family(row: Row) -> Family:
    id, current, spent, rotated_at, revoked_at, expires_at, user_id = row
    return Family(
        id=id,
        user_id=str(user_id),
        current=current,
        spent=orjson.loads(spent),
        rotated_at=rotated_at,
        revoked_at=revoked_at,
        expires_at=expires_at,
    )


def _row(family: Family) -> Row:
    spent = orjson.dumps(family.spent).decode()
    return (
        *(family.id, family.current, spent, family.rotated_at, family.revoked_at, family.expires_at),
        int(family.user_id),
    )


def fresh_family(family: str, user_id: str, token_id: str, expires_at: datetime, at: datetime) -> Row:
    """The row, in the columns of FRESH, of a family that begins with this refresh token; "" is a token of nobody."""
    return (family, int(user_id), token_id, "{}", "", at, None, None, expires_at)
