"""The admin's login is locked after some failures, and knows the rules for passwords."""

import io
import itertools
import json
from typing import Any

import pytest
from django.contrib.auth.hashers import check_password
from django.contrib.auth.models import User
from django.contrib.auth.password_validation import validate_password
from django.core.cache import cache
from django.core.exceptions import ValidationError
from django.core.management import call_command
from django.test import Client
from pytest_django import Settings

from audit_app.models import OutboxEntry
from erlmcp_site.environment import Rate
from erlmcp_site.serving.first_users import make_first_users
from tests.sessions.conftest import PASSWORD

pytestmark = pytest.mark.django_db(transaction=True, databases=["default", "audit"])

WEAK = ["password1", "12345678901234", "short7", "caroline17"]


_numbers = itertools.count(1)


@pytest.fixture(autouse=True)
def rates(users: dict[str, User], settings: Settings) -> None:
    """Three failures for a name, ten for an address in an hour; nobody has come from anywhere yet."""
    settings.LOGIN_LOCKOUT, settings.RATE_LIMIT_LOGIN = Rate(3, 3600), Rate(10, 3600)
    cache.clear()


@pytest.fixture
def address() -> str:
    """An address from which nobody has logged in yet."""
    return f"2001:db8:0:{next(_numbers):x}::1"


def attempt(address: str, password: str, name: str = "root") -> str | None:
    """What the form says; None when it has let in."""
    answer = Client(REMOTE_ADDR=address).post("/admin/login/", {"username": name, "password": password})
    if answer.status_code == 302:
        return None
    return " ".join(answer.context["form"].non_field_errors())


def entries() -> list[str]:
    return list(OutboxEntry.objects.order_by("id").values_list("entry", flat=True))


def logins() -> list[tuple[str, str | None, str]]:
    found = map(json.loads, entries())
    return [
        (one["outcome"], one.get("code") or None, one["resource_id"]) for one in found if one["action"] == "auth/login"
    ]


def test_after_some_failures_a_name_is_locked_and_no_other(address: str) -> None:
    for _ in range(3):
        assert "correct" in (attempt(address, "wrong") or "")
    for password in ("wrong", PASSWORD):
        assert attempt(address, password) == "Too many failed logins. Try again in 20 minutes."
    assert "staff account" in (attempt(address, PASSWORD, name="alice") or "")
    wrong = ("refused", "unauthenticated", "root")
    locked = ("refused", "rate_limited", "root")
    assert logins() == [wrong, wrong, wrong, locked, locked, ("refused", "forbidden", "alice")]
    assert PASSWORD not in str(list(OutboxEntry.objects.values()))


def test_all_addresses_of_one_network_are_one(address: str, settings: Settings) -> None:
    settings.RATE_LIMIT_LOGIN = Rate(3, 3600)
    for number in range(2, 5):
        assert "correct" in (attempt(address.replace("::1", f"::{number}"), "wrong", name=f"guess{number}") or "")
    assert attempt(address, PASSWORD) == "Too many failed logins. Try again in 20 minutes."


def test_many_names_from_one_address_are_locked_too(address: str, settings: Settings) -> None:
    settings.RATE_LIMIT_LOGIN = Rate(4, 240)
    for number in range(4):
        assert "correct" in (attempt(address, "wrong", name=f"guess{number}") or "")
    assert attempt(address, PASSWORD) == "Too many failed logins. Try again in 1 minute."


def test_a_right_password_of_somebody_who_may_not_enter_is_on_record(address: str) -> None:
    assert "staff account" in (attempt(address, PASSWORD, name="alice") or "")
    assert logins() == [("refused", "forbidden", "alice")]


def test_half_a_form_counts_for_nothing(address: str) -> None:
    for _ in range(5):
        attempt(address, "")
    assert attempt(address, PASSWORD) is None


@pytest.mark.parametrize("password", WEAK)
def test_the_admin_takes_no_weak_password(users: dict[str, User], password: str) -> None:
    page = Client()
    page.force_login(users["root"])
    form: dict[str, Any] = {"username": "caroline", "password1": password, "password2": password}
    answer = page.post("/admin/auth/user/add/", form | {"usable_password": "true"})
    assert answer.status_code == 200
    assert answer.context["adminform"].form.errors
    assert not User.objects.filter(username="caroline").exists()
    pk = users["alice"].pk
    form = {"password1": WEAK[0], "password2": WEAK[0], "usable_password": "true", "set-password": "1"}
    assert page.post(f"/admin/auth/user/{pk}/password/", form).status_code == 200
    users["alice"].refresh_from_db()
    assert users["alice"].check_password(PASSWORD)


@pytest.mark.parametrize("password", WEAK)
def test_whoever_makes_a_superuser_is_told_of_a_weak_password(
    users: dict[str, User], password: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    answers = iter([password, password, "a long one 17", "a long one 17"])
    monkeypatch.setattr("getpass.getpass", lambda *_: next(answers))
    monkeypatch.setattr("builtins.input", lambda *_: "n")
    told = io.StringIO()
    call_command(
        "createsuperuser", username="caroline", email="c@example.com", stderr=told, stdin=_Terminal(), interactive=True
    )
    assert "password" in told.getvalue()
    assert User.objects.get(username="caroline").check_password("a long one 17")


class _Terminal:
    def isatty(self) -> bool:
        return True


def test_the_first_users_have_passwords_that_follow_the_rules(users: dict[str, User]) -> None:
    User.objects.all().delete()
    passwords = make_first_users()
    assert passwords.keys() == {"admin", "alice", "bob"}
    for name, password in passwords.items():
        validate_password(password, User.objects.get(username=name))
    with pytest.raises(ValidationError):
        validate_password("password1")


def test_an_old_hash_is_renewed_by_the_writer(address: str, settings: Settings) -> None:
    old = User.objects.get(username="root").password
    settings.PASSWORD_HASHERS = [
        "django.contrib.auth.hashers.PBKDF2SHA1PasswordHasher",
        "django.contrib.auth.hashers.MD5PasswordHasher",
    ]
    assert attempt(address, "wrong") is not None
    assert User.objects.get(username="root").password == old
    for _ in range(2):
        assert attempt(address, PASSWORD) is None
    root = User.objects.get(username="root")
    assert root.password.startswith("pbkdf2_sha1$") and check_password(PASSWORD, root.password)
    (found,) = [one for one in map(json.loads, entries()) if one["action"] == "access/user"]
    assert (found["resource_id"], found["details"]["why"]) == ("root", "a newer hash")
    assert root.password not in str(found) and PASSWORD not in str(found)


def test_the_session_that_has_renewed_a_hash_goes_on(address: str, settings: Settings) -> None:
    settings.PASSWORD_HASHERS = [
        "django.contrib.auth.hashers.PBKDF2SHA1PasswordHasher",
        "django.contrib.auth.hashers.MD5PasswordHasher",
    ]
    client = Client(REMOTE_ADDR=address)
    client.post("/admin/login/", {"username": "root", "password": PASSWORD})
    assert client.get("/admin/").status_code == 200


def test_the_old_password_is_guessed_at_as_seldom_where_it_is_changed(address: str) -> None:
    client = Client(REMOTE_ADDR=address)
    client.force_login(User.objects.get(username="root"))
    new = {"new_password1": "a new one 4711", "new_password2": "a new one 4711"}
    for _ in range(3):
        answer = client.post("/admin/password_change/", new | {"old_password": "wrong"})
        assert "incorrectly" in str(answer.context["form"].errors)
    answer = client.post("/admin/password_change/", new | {"old_password": PASSWORD})
    assert "Too many failed logins" in str(answer.context["form"].errors)
    assert User.objects.get(username="root").check_password(PASSWORD)
    refused = [one for one in map(json.loads, entries()) if one["action"] == "access/user"]
    assert [(one["outcome"], one["code"], one["resource_id"]) for one in refused] == [
        ("refused", "unauthenticated", "root")
    ] * 3
