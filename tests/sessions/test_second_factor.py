"""A second factor in the admin: enrolled, asked for at each login, each code used once, withdrawn."""

import json
import re
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from django.contrib.auth.models import Permission, User
from django.contrib.sessions.models import Session
from django.core.cache import cache
from django.test import Client
from pytest_django import Settings

from audit_app.models import OutboxEntry
from audit_app.queues import Queue
from audit_app.writer import writer
from erlmcp_site.environment import Rate
from resources_app.models import ControlEvent
from sessions_app.errors import AlreadyEnrolled, NotEnrolled, WrongCode
from sessions_app.factors.checking import CODE, ENROL, WITHDRAW, enrolment, factor_of, use_of
from sessions_app.factors.codes import code_at, new_secret
from sessions_app.factors.store import WithdrawFactor
from sessions_app.models import SecondFactor, TokenFamily
from tests.sessions.conftest import PASSWORD, entry
from tests.sessions.factor_devices import LOGIN, Device, enrol, entries, log_in, outcomes
from tests.sessions.test_admin import log_in as log_in_over_the_api

pytestmark = pytest.mark.django_db(transaction=True, databases=["default", "audit"])

PAGE, INDEX, EVERYBODYS = "/admin/second-factor/", "/admin/", "/admin/sessions_app/secondfactor/"

WRONG, GOOD = ("refused", "unauthenticated"), ("success", None)


@pytest.fixture(autouse=True)
def rates(users: dict[str, User], settings: Settings) -> None:
    """Six failures of a name in an hour; nobody has come from anywhere yet."""
    settings.LOGIN_LOCKOUT, settings.RATE_LIMIT_LOGIN = Rate(6, 3600), Rate(100, 3600)
    cache.clear()


@pytest.fixture
def page(users: dict[str, User]) -> Client:
    """The admin, with root logged in by the password alone."""
    client = log_in()
    assert client is not None
    return client


def text_of(answer: Any) -> str:
    text: str = answer.content.decode()
    return text


def key_on(answer: Any) -> str:
    (found,) = re.findall(r'id="key">([A-Z2-7]+)<', text_of(answer))
    return str(found)


def codes_on(answer: Any) -> list[str]:
    (listed,) = re.findall(r'id="recovery-codes">(.*?)</ul>', text_of(answer), re.DOTALL)
    return re.findall(r"<li>([a-z2-7-]+)</li>", listed)


def is_let_in(client: Client) -> bool:
    answer = client.get(INDEX)
    assert answer.status_code == 200 or answer["Location"] == f"{LOGIN}?next={INDEX}"
    return answer.status_code == 200


# -- enrolling


def test_it_is_enrolled_with_the_password_and_a_code(page: Client) -> None:
    shown = page.get(PAGE)
    device = Device(key_on(shown))
    assert "<svg" in text_of(shown)
    assert "no-store" in shown["Cache-Control"]
    assert key_on(page.get(PAGE)) == device.secret
    code = device.code()
    for password, given in (("wrong", code), (PASSWORD, device.wrong_code()), (PASSWORD, "")):
        assert key_on(page.post(PAGE, {"password": password, "code": given})) == device.secret
        assert not SecondFactor.objects.exists()
    answer = page.post(PAGE, {"password": PASSWORD, "code": code})
    codes = codes_on(answer)
    assert len(set(codes)) == 10
    assert "no-store" in answer["Cache-Control"]
    assert is_let_in(page)
    assert outcomes(ENROL) == [WRONG, WRONG, GOOD]
    assert {(one["queue"], one["user"], one["resource_id"]) for one in entries(ENROL)} == {
        (Queue.SECURITY, "root", "root")
    }
    again = text_of(page.get(PAGE))
    assert "10 recovery codes left" in again
    assert not any(code in again for code in codes)


def test_the_code_that_has_enrolled_it_logs_in_nobody(page: Client) -> None:
    device = Device(key_on(page.get(PAGE)))
    code = device.code()
    page.post(PAGE, {"password": PASSWORD, "code": code})
    assert log_in(code) is None
    assert log_in(device.code()) is not None


def test_neither_the_secret_nor_recovery_codes_can_be_read_in_the_database(page: Client) -> None:
    device = Device(key_on(page.get(PAGE)))
    assert device.secret not in stored()
    codes = codes_on(page.post(PAGE, {"password": PASSWORD, "code": device.code()}))
    assert log_in(codes[0]) is not None
    assert [secret for secret in (device.secret, PASSWORD, *codes) if secret in stored()] == []


def stored() -> str:
    """What is kept of factors, of sessions of the admin, and in the trail."""
    factors = [(bytes(one.sealed), one.recovery) for one in SecondFactor.objects.all()]
    sessions = [one.get_decoded() for one in Session.objects.all()]
    return str((factors, sessions, list(OutboxEntry.objects.values()), list(ControlEvent.objects.values())))


def test_enrolling_ends_logins_that_were_made_without(page: Client) -> None:
    other = log_in()
    assert other is not None and is_let_in(other)
    log_in_over_the_api("root")
    log_in_over_the_api("bob")
    device = Device(key_on(page.get(PAGE)))
    page.post(PAGE, {"password": PASSWORD, "code": device.code()})
    assert is_let_in(page)
    assert not is_let_in(other)
    assert other.get(PAGE)["Location"] == f"{LOGIN}?next={PAGE}"
    assert [one.user.get_username() for one in TokenFamily.objects.exclude(revoked_at=None)] == ["root"]


def test_a_user_has_one_at_most(users: dict[str, User]) -> None:
    enrol(users["root"])
    secret = new_secret()
    command, _ = enrolment(users["root"], secret, code_at(secret, time.time()), entry())
    with pytest.raises(AlreadyEnrolled):
        writer.run(command)
    enrol(users["alice"])
    assert SecondFactor.objects.count() == 2


# -- logging in


def test_a_login_needs_the_code_and_does_not_say_what_was_wrong(users: dict[str, User]) -> None:
    device, _ = enrol(users["root"])
    code = device.code()
    tries = [(PASSWORD, ""), (PASSWORD, device.wrong_code()), ("wrong", code)]
    told = [
        Client().post(LOGIN, {"username": "root", "password": password, "code": given}).context["form"].errors
        for password, given in tries
    ]
    assert told[0] == told[1] == told[2] and told[0]
    assert outcomes(CODE) == [WRONG, WRONG]
    assert [one["details"] for one in entries(CODE)] == [{"why": "it is wrong"}] * 2
    # the wrong password has not cost the code
    client = log_in(code)
    assert client is not None and is_let_in(client)
    assert outcomes(CODE)[2:] == [GOOD]
    assert {(one["queue"], one["resource_id"]) for one in entries(CODE)} == {(Queue.SECURITY, "root")}
    assert outcomes("auth/login") == [WRONG, GOOD]
    # six digits may stand in an id or in a time by chance
    kept = [{**one, "id": "", "timestamp": "", "request_id": ""} for one in entries(CODE) + entries("auth/login")]
    assert code not in json.dumps(kept)


def test_a_code_works_once(users: dict[str, User]) -> None:
    device, _ = enrol(users["root"])
    first, second = device.code(), device.code()
    assert log_in(first) is not None
    assert log_in(first) is None
    assert log_in(second) is not None
    assert [log_in(first), log_in(second)] == [None, None]


def test_a_recovery_code_works_once_and_is_on_record(users: dict[str, User]) -> None:
    _, codes = enrol(users["root"])
    assert log_in(codes[3]) is not None
    assert log_in(codes[3]) is None
    assert log_in(codes[4].upper().replace("-", " ")) is not None
    used = [one["details"] for one in entries(CODE) if one["outcome"] == "success"]
    assert used == [{"kind": "recovery code", "recovery_codes": left} for left in (9, 8)]


def test_of_one_code_used_at_once_by_many_one_succeeds(users: dict[str, User]) -> None:
    device, codes = enrol(users["root"])
    factor = factor_of(users["root"])
    assert factor is not None
    for code in (device.code(), codes[0]):
        uses = [use_of(factor, code, entry()) for _ in range(16)]

        def use(number: int, uses: list[Any] = uses) -> bool:
            try:
                writer.run(uses[number])
            except WrongCode:
                return False
            return True

        with ThreadPoolExecutor(8) as threads:
            assert sum(threads.map(use, range(16))) == 1


def test_wrong_codes_lock_the_name_as_wrong_passwords_do(users: dict[str, User]) -> None:
    device, codes = enrol(users["root"])
    for number in range(6):
        assert log_in(*((device.wrong_code(),) if number % 2 else ("", "wrong"))) is None
    answer = Client().post(LOGIN, {"username": "root", "password": PASSWORD, "code": codes[0]})
    assert "Too many failed logins" in str(answer.context["form"].errors)
    assert entries("auth/login")[-1]["code"] == "rate_limited"


def test_a_session_that_was_made_without_the_code_sees_nothing(users: dict[str, User]) -> None:
    client = Client()
    client.force_login(users["root"])
    assert is_let_in(client)
    enrol(users["root"])
    for path in (INDEX, EVERYBODYS, "/admin/password_change/", "/admin/access/", "/admin/search/", PAGE):
        for answer in (client.get(path), client.post(path)):
            assert (answer.status_code, answer["Location"].startswith(LOGIN)) == (302, True), path
    assert "needs more than that login has shown" in text_of(client.get(LOGIN))


def test_nobody_else_is_asked_for_a_code(users: dict[str, User]) -> None:
    enrol(users["alice"])
    assert log_in() is not None
    # a code that nobody has asked for does no harm
    assert log_in("123456") is not None


# -- withdrawing


def test_it_is_withdrawn_with_a_code(users: dict[str, User]) -> None:
    device, codes = enrol(users["root"])
    client = log_in(device.code())
    assert client is not None
    assert "wrong" in text_of(client.post(PAGE, {"code": device.wrong_code()}))
    assert SecondFactor.objects.exists()
    assert client.post(PAGE, {"code": codes[0]})["Location"] == PAGE
    assert not SecondFactor.objects.exists()
    assert is_let_in(client)
    assert log_in() is not None
    (found,) = entries(WITHDRAW)
    assert (found["user"], found["details"]) == ("root", {"why": "withdrawn by its user"})


def test_a_session_of_a_factor_that_was_withdrawn_is_none_of_the_next(users: dict[str, User]) -> None:
    device, _ = enrol(users["root"])
    client = log_in(device.code())
    assert client is not None and is_let_in(client)
    withdraw(users["root"])
    assert is_let_in(client)
    enrol(users["root"])
    assert not is_let_in(client)


def withdraw(user: User) -> None:
    factor = factor_of(user)
    assert factor is not None
    writer.run(WithdrawFactor(factor=factor.pk, user_id=str(user.pk), why="a test", entry=entry()))


def test_what_was_withdrawn_is_good_for_nothing(users: dict[str, User]) -> None:
    device, _ = enrol(users["root"])
    factor = factor_of(users["root"])
    assert factor is not None
    use = use_of(factor, device.code(), entry())
    withdraw(users["root"])
    enrol(users["root"])
    with pytest.raises(WrongCode):
        writer.run(use)
    with pytest.raises(NotEnrolled):
        writer.run(WithdrawFactor(factor=factor.pk, user_id=str(users["root"].pk), why="a test", entry=entry()))
    assert SecondFactor.objects.exists()


def test_an_administrator_withdraws_that_of_somebody_who_has_lost_the_device(
    page: Client, users: dict[str, User]
) -> None:
    User.objects.filter(username="alice").update(is_staff=True)
    enrol(users["alice"])
    factor = SecondFactor.objects.get()
    for path in (EVERYBODYS, f"{EVERYBODYS}{factor.pk}/change/"):
        assert "alice" in text_of(page.get(path))
    assert log_in(name="alice") is None
    assert page.post(f"{EVERYBODYS}{factor.pk}/delete/", {"post": "yes"}).status_code == 302
    assert log_in(name="alice") is not None
    (found,) = entries(WITHDRAW)
    assert (found["queue"], found["user"], found["resource_id"]) == (Queue.SECURITY, "root", "alice")
    assert found["details"] == {"why": "withdrawn by an administrator"}


def test_that_of_a_superuser_only_superusers_withdraw(users: dict[str, User]) -> None:
    User.objects.filter(username="bob").update(is_staff=True)
    users["bob"].user_permissions.add(Permission.objects.get(codename="administer_access"))
    enrol(users["root"])
    enrol(users["alice"])
    client = log_in(name="bob")
    assert client is not None
    gone = {}
    for name in ("root", "alice"):
        factor = SecondFactor.objects.get(user=users[name])
        client.post(f"{EVERYBODYS}{factor.pk}/delete/", {"post": "yes"})
        client.post(EVERYBODYS, {"action": "delete_selected", "_selected_action": [factor.pk], "post": "yes"})
        gone[name] = not SecondFactor.objects.filter(pk=factor.pk).exists()
    assert gone == {"root": False, "alice": True}


def test_it_goes_with_its_user(page: Client, users: dict[str, User]) -> None:
    enrol(users["alice"])
    page.post(f"/admin/auth/user/{users['alice'].pk}/delete/", {"post": "yes"})
    assert not User.objects.filter(username="alice").exists()
    assert not SecondFactor.objects.exists()


# -- required


def test_where_it_is_required_whoever_has_none_is_led_to_enrol_first(
    users: dict[str, User], settings: Settings
) -> None:
    settings.ADMIN_SECOND_FACTOR = "required"
    client = log_in()
    assert client is not None
    for path in (INDEX, EVERYBODYS, "/admin/password_change/", "/admin/access/", "/admin/auth/user/add/"):
        answer = client.get(path, follow=True)
        assert [where for where, _ in answer.redirect_chain] == [f"{LOGIN}?next={path}", PAGE]
        assert client.post(path)["Location"] == f"{LOGIN}?next={path}"
    device = Device(key_on(client.get(PAGE)))
    assert codes_on(client.post(PAGE, {"password": PASSWORD, "code": device.code()}))
    assert is_let_in(client)
    other = log_in(device.code())
    assert other is not None and is_let_in(other)


def test_where_it_is_required_whoever_has_none_can_leave(users: dict[str, User], settings: Settings) -> None:
    settings.ADMIN_SECOND_FACTOR = "required"
    client = log_in()
    assert client is not None
    assert 'action="/admin/logout/"' in text_of(client.get(PAGE))
    client.post("/admin/logout/")
    assert client.get(PAGE)["Location"] == f"{LOGIN}?next={PAGE}"
    assert outcomes("auth/logout") == [GOOD]


def test_the_page_is_for_those_for_whom_the_admin_is(users: dict[str, User]) -> None:
    client = Client()
    assert client.get(PAGE)["Location"] == f"{LOGIN}?next={PAGE}"
    client.force_login(users["alice"])
    assert client.get(PAGE)["Location"] == f"{LOGIN}?next={PAGE}"
    assert client.post(PAGE, {"password": PASSWORD, "code": "1"}).status_code == 302
