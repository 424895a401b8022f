"""The admin shows encrypted content to those who may read it, and what is encrypted by which keys."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from asgiref.sync import async_to_sync
from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import User
from django.test import Client
from pytest_django import Settings

from audit_app.writer import writer
from encryption_app.envelope import is_sealed
from encryption_app.policy import SESSIONS, Rule
from resources_app.models import Event, Resource
from sessions_app.callers import Caller
from sessions_app.commands import CreateSession
from sessions_app.sealed import key_for, sealed
from sessions_app.sessions import new_session
from tests.encryption.conftest import CANARY, URI, start_over
from tests.encryption.test_content import kept_texts
from tests.sessions.conftest import entry

pytestmark = pytest.mark.django_db(transaction=True, databases=["default", "audit"])

RESOURCES = "/admin/resources_app/resource/"


@pytest.fixture
def browser() -> Client:
    client = Client(REMOTE_ADDR="192.0.2.7")
    client.force_login(User.objects.create_superuser("admin"))
    return client


def created(browser: Client) -> Resource:
    form = {"uri": URI, "kind": "content", "content": f'{{"a": "{CANARY}"}}', "on_conflict": "last_write_wins"}
    assert browser.post(f"{RESOURCES}add/", form).status_code == 302
    start_over()
    return Resource.objects.get(uri=URI)


def shown(browser: Client, resource: Resource) -> Any:
    return browser.get(f"{RESOURCES}{resource.pk}/change/")


def test_content_is_shown_and_changed_and_kept_encrypted(browser: Client) -> None:
    resource = created(browser)
    form = shown(browser, resource).context["adminform"].form
    assert CANARY in form["content"].value()
    fields = {name: form[name].value() or "" for name in form.fields}
    for changes in ({"title": "Only this"}, {"content": f'["{CANARY}"]'}):
        assert browser.post(f"{RESOURCES}{resource.pk}/change/", fields | changes).status_code == 302
        resource.refresh_from_db()
        fields |= {"base_version": resource.version, "title": resource.title}
        start_over()
    assert (resource.version, resource.title, is_sealed(bytes(resource.body))) == (3, "Only this", True)
    for event in Event.objects.all():
        assert CANARY in browser.get(f"/admin/resources_app/event/{event.pk}/change/").content.decode()
    told = "\n".join(map(str, LogEntry.objects.values_list()))
    assert CANARY.encode() not in kept_texts() + told.encode()


def test_without_its_key_content_is_not_shown(browser: Client, settings: Settings) -> None:
    resource = created(browser)
    keyring: Path = settings.ENCRYPTION_KEYRING
    keyring.rename(keyring.with_name("away.json"))
    start_over()
    assert shown(browser, resource).status_code == 302
    page = browser.get(f"/admin/resources_app/event/{Event.objects.get().pk}/change/")
    assert page.status_code == 200
    assert CANARY not in page.content.decode()


def test_rules_and_keys_are_shown(browser: Client) -> None:
    created(browser)
    page = browser.get("/admin/encryption/").content.decode()
    assert "resource://vault.example/*=local" in page
    assert "current" in page
    other = Client()
    other.force_login(User.objects.create_user("someone", is_staff=True))
    assert other.get("/admin/encryption/").status_code == 403


def test_what_a_session_knows_is_shown_while_its_key_is_to_be_had(browser: Client, settings: Settings) -> None:
    settings.ENCRYPT = (Rule(SESSIONS, "local"),)
    user = User.objects.get()
    none: frozenset[str] = frozenset()
    caller = Caller(user_id=str(user.pk), name="admin", permissions=none, principals=none, family="f", expires_at=0.0)
    record = replace(new_session(caller, client_id="cli"), label=CANARY, metadata={"of": CANARY})
    key = async_to_sync(key_for)(record.user_id)
    writer.run(CreateSession(record=sealed(record, key), entry=entry()))
    pages = ("/admin/sessions_app/session/", f"/admin/sessions_app/session/{record.id}/change/")
    start_over()
    assert [CANARY in browser.get(page).content.decode() for page in pages] == [True, True]
    keyring: Path = settings.ENCRYPTION_KEYRING
    keyring.rename(keyring.with_name("away.json"))
    start_over()
    for page in pages:
        shown = browser.get(page)
        assert (shown.status_code, CANARY in shown.content.decode()) == (200, False)
        assert "cannot be opened" in shown.content.decode()
    found = browser.get("/admin/sessions_app/session/", {"q": "admin"}).content.decode()
    assert record.id in found
