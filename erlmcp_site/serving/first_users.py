"""The first users, made once in a database that has none (contract §1)."""

import secrets
import string
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime

from django.contrib.auth.hashers import make_password
from django.contrib.auth.models import Group, User

from audit_app.bulk import Bulk
from audit_app.commands import Decision, Store
from audit_app.system import system_entry
from audit_app.trail import Entry
from audit_app.writer import writer

PASSWORD_LETTERS = 20
ALPHABET = string.ascii_letters + string.digits
GROUP_OF = {"admin": None, "alice": "user", "bob": "viewer"}


@dataclass(slots=True)
class UsersOfBatch:
    """Whether there are users already, and those to add."""

    exist: bool
    fresh: Sequence[User] = ()


class FirstUserStore(Store):
    """Users as the writer makes them, all or none."""

    def load(self, db: Bulk, commands: Sequence["MakeFirstUsers"]) -> UsersOfBatch:
        return UsersOfBatch(exist=User.objects.exists())

    def decide(self, state: UsersOfBatch, command: "MakeFirstUsers", at: datetime) -> Decision:
        if state.exist:
            return Decision(result=False)
        state.exist = True
        state.fresh = command.users
        return Decision(result=True, details={"users": [user.username for user in command.users]})

    def save(self, db: Bulk, state: UsersOfBatch) -> None:
        for user in state.fresh:
            user.pk = None
            user.save(force_insert=True)
            group = GROUP_OF[user.username]
            if group is not None:
                user.groups.add(Group.objects.get(name=group))


STORE = FirstUserStore()


@dataclass(frozen=True, slots=True, kw_only=True)
class MakeFirstUsers:
    """Add these users if there are none at all; the result says whether they were added."""

    users: Sequence[User]
    entry: Entry
    store: FirstUserStore = STORE


def make_first_users() -> dict[str, str]:
    """The first users and their new passwords; nothing when the database has users already.

    `admin` may everything, `alice` has the role user, `bob` is a viewer. Of several nodes that start at once, one makes
    them.
    """
    if User.objects.exists():
        return {}
    passwords = {name: "".join(secrets.choice(ALPHABET) for _ in range(PASSWORD_LETTERS)) for name in GROUP_OF}
    with ThreadPoolExecutor(len(passwords)) as threads:
        hashes = list(threads.map(make_password, passwords.values()))
    users = [
        User(username=name, password=hashed, is_staff=name == "admin", is_superuser=name == "admin")
        for name, hashed in zip(passwords, hashes, strict=True)
    ]
    entry = system_entry("access/first_users", "user")
    return passwords if writer.run(MakeFirstUsers(users=users, entry=entry)) else {}
