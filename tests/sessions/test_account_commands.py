"""The commands about accounts: what they do goes through the writer, and is on record."""

import getpass
import io
import json
from collections.abc import Callable
from typing import Any

import pytest
from asgiref.sync import async_to_sync
from django.contrib.auth.models import User
from django.core.management import CommandError, call_command

from audit_app.database import in_database
from audit_app.models import OutboxEntry
from audit_app.queues import Queue
from erlmcp_site.management.account import account
from resources_app.hub.hub import hub
from resources_app.models import ControlEvent
from sessions_app.errors import Unauthenticated
from sessions_app.models import ApiKey, SecondFactor, TokenFamily
from tests.pipeline.calls import code
from tests.sessions.conftest import PASSWORD, pair_of
from tests.sessions.factor_devices import enrol, entries
from tests.sessions.test_methods import ask
from tests.stack.waiting import eventually

pytestmark = pytest.mark.django_db(transaction=True, databases=["default", "audit"])

NEW = "a new one 4711"

Answers = Callable[..., list[str]]


class _Terminal:
    def isatty(self) -> bool:
        return True


@pytest.fixture
def typed(monkeypatch: pytest.MonkeyPatch) -> Answers:
    """Has somebody type these passwords; the list has the questions that were asked."""

    def answers(*passwords: str) -> list[str]:
        asked: list[str] = []
        left = iter(passwords)

        def ask_for(prompt: str = "Password: ") -> str:
            asked.append(prompt)
            return next(left)

        monkeypatch.setattr(getpass, "getpass", ask_for)
        monkeypatch.setattr("builtins.input", lambda *_: "n")
        return asked

    return answers


def run(command: str, *args: str, **options: Any) -> str:
    """What a command prints, on standard output and standard error."""
    told = io.StringIO()
    call_command(command, *args, stdout=told, stderr=told, **options)
    return told.getvalue()


def on_record(action: str) -> dict[str, Any]:
    (found,) = entries(action)
    return found


# -- changepassword


def test_a_changed_password_is_on_record_and_ends_the_logins_of_the_old_one(
    users: dict[str, User], typed: Answers
) -> None:
    async_to_sync(pair_of)("alice")
    async_to_sync(pair_of)("bob")
    key = TokenFamily.objects.create(
        **TokenFamily.objects.filter(user=users["alice"]).values("user_id", "created_at", "expires_at").get(), id="key"
    )
    ApiKey.objects.create(id=key.id, user=users["alice"], created_at=key.created_at, expires_at=key.expires_at)
    asked = typed(NEW, NEW)
    told = run("changepassword", "alice")
    assert asked == ["Password: ", "Password (again): "]
    assert "Changing password for user 'alice'" in told
    assert "Password changed successfully for user 'alice'" in told
    assert User.objects.get(username="alice").check_password(NEW)
    found = on_record("access/user")
    assert (found["queue"], found["user"], found["transport"]) == (Queue.SECURITY, account(), "system")
    assert (found["resource_id"], found["details"]["fields"]) == ("alice", ["password"])
    assert on_record("auth/revoke")["details"]["why"] == "the password was changed"
    told_nodes = list(ControlEvent.objects.order_by("offset").values_list("kind", "subject"))
    ended = TokenFamily.objects.exclude(revoked_at=None).get()
    assert ended.user == users["alice"] and ended.id != "key"
    assert told_nodes == [("user.changed", str(users["alice"].pk)), ("family.revoked", ended.id)]
    assert not [secret for secret in (NEW, PASSWORD) if secret in str(list(OutboxEntry.objects.values()))]


async def test_it_takes_effect_at_once_where_nodes_run(running: dict[str, User], typed: Answers) -> None:
    pair = await pair_of("alice")
    assert code(await ask("sessions/list", pair.access)) is None
    typed(NEW, NEW)
    await in_database(run, "changepassword", "alice")

    async def is_out() -> bool:
        return code(await ask("sessions/list", pair.access)) == "unauthenticated"

    await eventually(is_out, 30, f"the token is refused; the hub is at {hub.position}")
    with pytest.raises(Unauthenticated):
        await pair_of("alice")


def test_passwords_are_asked_for_until_they_are_the_same_and_good(users: dict[str, User], typed: Answers) -> None:
    asked = typed(NEW, "another", "password1", "password1", NEW, NEW)
    told = run("changepassword", "alice")
    assert len(asked) == 6
    assert "do not match" in told
    assert "too common" in told
    assert User.objects.get(username="alice").check_password(NEW)


@pytest.mark.parametrize(
    ("name", "passwords", "why"),
    [
        ("alice", ("short", "short") * 3, "after 3 attempts"),
        ("alice", ("",), "aborted"),
        ("nobody", (), "user 'nobody' does not exist"),
    ],
)
def test_a_password_that_is_not_changed_stays(
    users: dict[str, User], typed: Answers, name: str, passwords: tuple[str, ...], why: str
) -> None:
    typed(*passwords)
    with pytest.raises(CommandError, match=why):
        run("changepassword", name)
    assert User.objects.get(username="alice").check_password(PASSWORD)
    assert not entries("access/user")


# -- createsuperuser


def test_a_superuser_is_made_by_the_writer(users: dict[str, User], typed: Answers) -> None:
    typed(NEW, NEW)
    told = run(
        "createsuperuser", username="caroline", email="c@EXAMPLE.com", stdin=_Terminal(), interactive=True, verbosity=1
    )
    assert "Superuser created successfully." in told
    made = User.objects.get(username="caroline")
    assert (made.is_staff, made.is_superuser, made.email) == (True, True, "c@example.com")
    assert made.check_password(NEW)
    found = on_record("access/user")
    assert (found["queue"], found["user"], found["resource_id"]) == (Queue.SECURITY, account(), "caroline")
    assert found["details"]["change"] == "added"
    assert found["details"]["changes"]["is_superuser"] == [None, True]
    assert NEW not in json.dumps(found) and made.password not in json.dumps(found)


def test_one_may_be_made_without_questions(users: dict[str, User], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DJANGO_SUPERUSER_PASSWORD", NEW)
    run("createsuperuser", username="caroline", email="", interactive=False)
    assert User.objects.get(username="caroline").check_password(NEW)
    monkeypatch.delenv("DJANGO_SUPERUSER_PASSWORD")
    run("createsuperuser", username="dora", email="", interactive=False)
    assert not User.objects.get(username="dora").has_usable_password()
    assert [one["resource_id"] for one in entries("access/user")] == ["caroline", "dora"]


def test_a_name_that_is_taken_is_refused(users: dict[str, User]) -> None:
    with pytest.raises(CommandError, match="already taken"):
        run("createsuperuser", username="root", email="", interactive=False)
    assert not entries("access/user")


def test_users_are_kept_in_one_database(users: dict[str, User], typed: Answers) -> None:
    typed(NEW, NEW)
    with pytest.raises(CommandError, match="Users are kept in the database default"):
        run("createsuperuser", username="caroline", email="", interactive=False, database="audit")
    with pytest.raises(CommandError, match="Users are kept in the database default"):
        run("changepassword", "alice", database="audit")
    assert not User.objects.filter(username="caroline").exists()


# -- factor


def test_an_operator_withdraws_a_second_factor(users: dict[str, User]) -> None:
    enrol(users["root"])
    enrol(users["alice"])
    listed = run("factor", "list").splitlines()
    assert [line.split()[0] for line in listed] == ["alice", "root"]
    assert "recovery codes 10" in listed[0]
    run("factor", "withdraw", "root")
    assert [factor.user for factor in SecondFactor.objects.all()] == [users["alice"]]
    found = on_record("auth/withdraw")
    assert (found["queue"], found["user"], found["resource_id"]) == (Queue.SECURITY, account(), "root")
    assert found["details"] == {"why": "withdrawn by an operator"}
    with pytest.raises(CommandError, match="root has no second factor"):
        run("factor", "withdraw", "root")
