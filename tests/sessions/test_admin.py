"""The pages of sessions, token families, keys, users and groups: every change by the writer, audited and told."""

import json
import re
from datetime import timedelta

import pytest
from asgiref.sync import async_to_sync
from django.contrib.auth.models import Group, User
from django.test import Client
from django.utils.timezone import now

from audit_app.models import OutboxEntry
from audit_app.writer import writer
from erlmcp_site.pipeline.messages import Credentials
from resources_app.models import ControlEvent
from sessions_app.actions.tokens import TokenPair
from sessions_app.authentication import authenticate
from sessions_app.callers import Caller
from sessions_app.commands import CreateSession
from sessions_app.keys import ensure_signing_key
from sessions_app.models import ApiKey, Session, TokenFamily
from sessions_app.records import SessionRecord
from sessions_app.sessions import new_session
from sessions_app.states import State
from tests.sessions.conftest import PASSWORD, entry, pair_of
from tests.stack.outbox import entries

pytestmark = pytest.mark.django_db(transaction=True, databases=["default", "audit"])


@pytest.fixture
def page(users: dict[str, User]) -> Client:
    client = Client()
    client.force_login(users["root"])
    return client


@pytest.fixture
def session(users: dict[str, User]) -> SessionRecord:
    """An active session of Alice's."""
    caller = Caller(
        user_id=str(users["alice"].pk),
        name="alice",
        permissions=frozenset(),
        principals=frozenset(),
        family="",
        expires_at=0,
    )
    record: SessionRecord = writer.run(CreateSession(record=new_session(caller, client_id="cli"), entry=entry()))
    return record


def log_in(name: str) -> TokenPair:
    return async_to_sync(pair_of)(name)


def told(kind: str) -> list[str]:
    return list(ControlEvent.objects.filter(kind=kind).order_by("offset").values_list("subject", flat=True))


@pytest.mark.parametrize(
    "path",
    [
        *("sessions_app/apikey/", "sessions_app/apikey/add/"),
        *("sessions_app/session/", "sessions_app/tokenfamily/", "sessions_app/signingkey/"),
        *("auth/user/", "auth/user/add/", "auth/group/", "auth/group/add/"),
    ],
)
def test_every_page_opens(page: Client, session: SessionRecord, path: str) -> None:
    log_in("bob")
    assert page.get(f"/admin/{path}").status_code == 200


def test_what_is_stored_can_be_looked_at(page: Client, session: SessionRecord) -> None:
    log_in("bob")
    family, kid = TokenFamily.objects.get().pk, ensure_signing_key()
    for path in (f"session/{session.id}", f"tokenfamily/{family}", f"signingkey/{kid}"):
        answer = page.get(f"/admin/sessions_app/{path}/change/")
        assert answer.status_code == 200
        assert path.partition("/")[2] in answer.content.decode()


def test_sessions_are_suspended_resumed_and_closed(page: Client, session: SessionRecord) -> None:
    for action, state in (("suspend", "suspended"), ("resume", "active")):
        page.post("/admin/sessions_app/session/", {"action": action, "_selected_action": [session.id]})
        assert Session.objects.get().state == state
        (found,) = entries(f"sessions/{action}")
        assert (found["transport"], found["user"], found["resource_id"]) == ("admin", "root", session.id)
    page.post(f"/admin/sessions_app/session/{session.id}/delete/", {"post": "yes"})
    assert Session.objects.get().state == State.TERMINATING
    assert told("session.closed") == [session.id]


def test_what_cannot_be_done_to_a_session_is_said(page: Client, session: SessionRecord) -> None:
    answer = page.post(
        "/admin/sessions_app/session/", {"action": "resume", "_selected_action": [session.id]}, follow=True
    )
    assert "cannot become" in answer.content.decode()


def test_a_family_is_revoked(page: Client) -> None:
    log_in("alice")
    family = TokenFamily.objects.get()
    page.post(f"/admin/sessions_app/tokenfamily/{family.pk}/delete/", {"post": "yes"})
    family.refresh_from_db()
    assert family.revoked_at is not None
    assert told("family.revoked") == [family.pk]
    assert [found["user"] for found in entries("auth/revoke")] == ["root"]


def test_an_api_key_is_shown_once_and_revoked(page: Client) -> None:
    form = {"label": "feed", "scope": ["resources:read", "audit:read"], "days": 7}
    answer = page.post("/admin/sessions_app/apikey/add/", form)
    assert answer.status_code == 200
    assert "no-store" in answer["Cache-Control"]
    (text,) = set(re.findall("erlk_[A-Za-z0-9_-]{70,}", answer.content.decode()))
    caller = async_to_sync(authenticate)(Credentials(token=text))
    assert caller.name == "root"
    assert caller.permissions == {"resources:read", "audit:read"}
    key = ApiKey.objects.get()
    assert timedelta(days=7) - timedelta(minutes=5) < key.expires_at - now() <= timedelta(days=7)
    secret = text.rpartition(key.id)[2]
    for path in ("apikey/", f"apikey/{key.id}/change/", "tokenfamily/"):
        assert secret not in page.get(f"/admin/sessions_app/{path}").content.decode()
    page.post(f"/admin/sessions_app/apikey/{key.id}/delete/", {"post": "yes"})
    assert told("family.revoked") == [key.id]
    assert [found["transport"] for found in entries("keys/create") + entries("keys/revoke")] == ["admin"] * 2
    assert secret not in str(list(OutboxEntry.objects.values()))
    assert page.get(f"/admin/sessions_app/apikey/{key.id}/change/").status_code == 200


def test_a_key_that_cannot_be_made_is_said(page: Client) -> None:
    answer = page.post("/admin/sessions_app/apikey/add/", {"label": "feed", "days": 0})
    assert "greater than or equal to 1" in answer.content.decode()
    assert not ApiKey.objects.exists()


def test_a_new_password_leaves_api_keys_alone(page: Client, users: dict[str, User]) -> None:
    page.post("/admin/sessions_app/apikey/add/", {"label": "feed", "days": 1})
    log_in("root")
    form = {"password1": "a new one 4711", "password2": "a new one 4711", "usable_password": "true"}
    page.post(f"/admin/auth/user/{users['root'].pk}/password/", form | {"set-password": "1"})
    assert told("family.revoked") == [TokenFamily.objects.exclude(id=ApiKey.objects.get().id).get().pk]


def test_a_user_is_added_changed_and_deleted(page: Client) -> None:
    form = {"username": "carol", "usable_password": "true", "password1": "a long one 17", "password2": "a long one 17"}
    assert page.post("/admin/auth/user/add/", form).status_code == 302
    carol = User.objects.get(username="carol")
    assert carol.check_password("a long one 17")
    change = {
        "username": "carol",
        "is_active": "on",
        "groups": [Group.objects.get(name="user").pk],
        "date_joined_0": "2026-01-01",
        "date_joined_1": "00:00:00",
    }
    assert page.post(f"/admin/auth/user/{carol.pk}/change/", change).status_code == 302
    assert [group.name for group in carol.groups.all()] == ["user"]
    assert page.post(f"/admin/auth/user/{carol.pk}/delete/", {"post": "yes"}).status_code == 302
    assert not User.objects.filter(username="carol").exists()
    assert [found["details"]["change"] for found in entries("access/user")] == ["added", "changed", "deleted"]
    assert told("user.changed") == [str(carol.pk)] * 2
    assert "a long one" not in json.dumps(entries("access/user"))


def test_a_user_goes_with_sessions_and_tokens(page: Client, session: SessionRecord, users: dict[str, User]) -> None:
    log_in("alice")
    page.post(f"/admin/auth/user/{users['alice'].pk}/delete/", {"post": "yes"})
    assert not Session.objects.exists()
    assert not TokenFamily.objects.exists()


def test_a_new_password_ends_the_logins_of_the_old_one(page: Client, users: dict[str, User]) -> None:
    log_in("alice")
    log_in("bob")
    form = {"password1": "a new one 4711", "password2": "a new one 4711", "usable_password": "true"}
    answer = page.post(f"/admin/auth/user/{users['alice'].pk}/password/", form | {"set-password": "1"})
    assert answer.status_code == 302
    users["alice"].refresh_from_db()
    assert users["alice"].check_password("a new one 4711")
    assert told("user.changed") == [str(users["alice"].pk)]
    assert told("family.revoked") == [TokenFamily.objects.get(user=users["alice"]).pk]


def test_a_new_password_of_ones_own_is_on_record_and_ends_the_logins_of_the_old_one(
    page: Client, users: dict[str, User]
) -> None:
    log_in("root")
    log_in("bob")
    new = {"new_password1": "a new one 4711", "new_password2": "a new one 4711"}
    wrong = page.post("/admin/password_change/", new | {"old_password": "wrong"})
    assert wrong.status_code == 200
    assert [found["outcome"] for found in entries("access/user")] == ["refused"]
    answer = page.post("/admin/password_change/", new | {"old_password": PASSWORD})
    assert (answer.status_code, answer["Location"]) == (302, "/admin/password_change/done/")
    users["root"].refresh_from_db()
    assert users["root"].check_password("a new one 4711")
    (_, changed) = entries("access/user")
    assert (changed["user"], changed["resource_id"], changed["details"]["fields"]) == ("root", "root", ["password"])
    assert "a new one 4711" not in str(changed) and users["root"].password not in str(changed)
    assert told("user.changed") == [str(users["root"].pk)]
    assert told("family.revoked") == [TokenFamily.objects.get(user=users["root"]).pk]
    assert page.get("/admin/password_change/done/").status_code == 200


def test_a_group_tells_of_its_members(page: Client, users: dict[str, User]) -> None:
    group = Group.objects.get(name="user")
    page.post(f"/admin/auth/group/{group.pk}/change/", {"name": "user", "permissions": []})
    assert not group.permissions.exists()
    assert told("user.changed") == [str(users["alice"].pk)]
    page.post(f"/admin/auth/group/{group.pk}/delete/", {"post": "yes"})
    assert told("user.changed") == [str(users["alice"].pk)] * 2


def test_those_without_the_right_see_nothing(users: dict[str, User], session: SessionRecord) -> None:
    User.objects.filter(username="bob").update(is_staff=True)
    client = Client()
    client.force_login(users["bob"])
    for path in ("apikey/", "apikey/add/", "session/", "tokenfamily/", "signingkey/", f"session/{session.id}/change/"):
        assert client.get(f"/admin/sessions_app/{path}").status_code == 403
    assert client.post(f"/admin/sessions_app/session/{session.id}/delete/", {"post": "yes"}).status_code == 403
    assert client.get("/admin/auth/user/").status_code == 403


def test_logins_to_the_admin_are_on_record(users: dict[str, User]) -> None:
    client = Client()
    for password in ("wrong", PASSWORD):
        client.post("/admin/login/", {"username": "root", "password": password})
    client.post("/admin/logout/")
    assert [(found["outcome"], found["resource_id"]) for found in entries("auth/login")] == [
        ("refused", "root"),
        ("success", "root"),
    ]
    assert [found["user"] for found in entries("auth/logout")] == ["root"]
    assert PASSWORD not in json.dumps(entries("auth/login"))
    assert User.objects.get(username="root").last_login is not None
    assert entries("access/user") == []
