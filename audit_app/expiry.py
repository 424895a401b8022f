"""Forgetting idempotency keys when their day is over (contract §3)."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime

from django.utils.timezone import now

from audit_app.bulk import Bulk, table_of
from audit_app.commands import Decision, Store
from audit_app.idempotency import KEPT
from audit_app.models import IdempotencyKey
from audit_app.writer import writer

AGES = table_of(IdempotencyKey, "id", "at")
STEP = 500
MAX_STEPS = 400


@dataclass(slots=True)
class Dropping:
    """When the keys of one batch were used, and which of them go."""

    used_at: dict[str, datetime]
    gone: list[str] = field(default_factory=list)


class IdempotencyKeyStore(Store):
    """Deletes idempotency keys, unless one has been used anew."""

    def load(self, db: Bulk, commands: Sequence["DropKeys"]) -> Dropping:
        rows = db.select(AGES, "id", [id for command in commands for id in command.ids], lock=True)
        return Dropping({row[0]: row[1] for row in rows})

    def decide(self, state: Dropping, command: "DropKeys", at: datetime) -> Decision:
        old = [id for id in command.ids if id in state.used_at and state.used_at[id] <= at - KEPT]
        state.gone += old
        return Decision(result=len(old))

    def save(self, db: Bulk, state: Dropping) -> None:
        db.delete(AGES, "id", state.gone)


STORE = IdempotencyKeyStore()


@dataclass(frozen=True, slots=True, kw_only=True)
class DropKeys:
    """Forget those of these keys that are old; the result counts."""

    ids: Sequence[str]
    entry: None = None
    store: IdempotencyKeyStore = STORE


def drop_old_keys() -> int:
    """Forget the keys that are older than a day, in small steps. Returns how many went."""
    count = 0
    for _ in range(MAX_STEPS):
        old = IdempotencyKey.objects.filter(at__lte=now() - KEPT).order_by("at")
        ids = list(old.values_list("id", flat=True)[:STEP])
        if not ids:
            break
        count += writer.run(DropKeys(ids=ids))
    return count
