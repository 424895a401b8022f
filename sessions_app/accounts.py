"""Users and groups as the writer keeps them: saved with their audit entry, and every node told whose rights changed."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from audit_app.bulk import Bulk
from audit_app.commands import Decision, Store
from audit_app.trail import Entry
from resources_app.log.control import ControlEvent
from resources_app.subscriptions import release_subscriptions


class AccountStore(Store):
    """Accounts change rarely and in the shapes of Django's forms: Django saves them, in the writer's transaction."""

    def load(self, db: Bulk, commands: Sequence["ChangeAccount"]) -> list["ChangeAccount"]:
        return []

    def decide(self, state: list["ChangeAccount"], command: "ChangeAccount", at: datetime) -> Decision:
        state.append(command)
        events = [ControlEvent(kind="user.changed", subject=user_id) for user_id in command.users]
        return Decision(events=events, details=command.details)

    def save(self, db: Bulk, state: list["ChangeAccount"]) -> None:
        for command in state:
            release_subscriptions(db, command.ending_sessions)
            command.write()


STORE = AccountStore()


@dataclass(frozen=True, slots=True, kw_only=True)
class ChangeAccount:
    """Save or delete a user or a group.

    `write` does it through the ORM, and may be called again when a transaction is. `users` are the ids of those whose
    rights it may change; `ending_sessions` are sessions that go with their user.
    """

    write: Callable[[], object]
    entry: Entry | None
    users: Sequence[str] = ()
    ending_sessions: Sequence[str] = ()
    details: Mapping[str, Any] | None = None
    store: AccountStore = STORE
