"""The admin shows the trail, and changes resources and subscriptions by the methods that everybody uses."""

import base64
from collections.abc import Mapping
from typing import Any

import orjson
import pytest
from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import Permission, User
from django.db.models import Q
from django.test import Client
from django.urls import reverse

from audit_app.models import AuditEntry, OutboxEntry
from audit_app.mover import move_entries
from audit_app.trail import Entry, Queue
from audit_app.writer import writer
from resources_app.changes import Content, Write
from resources_app.models import Event, Resource, Subscription
from resources_app.state import Kind
from resources_app.store import ChangeResources
from tests.audit.conftest import Leave

pytestmark = pytest.mark.django_db(transaction=True, databases=["default", "audit"])

URI = "resource://demo.local/notes/one"
PIXEL = base64.b64encode(b"GIF89a\x01\x00\x01\x00\x80\x00\x00").decode()


@pytest.fixture
def browser() -> Client:
    """A browser that is logged in to the admin as a superuser."""
    client = Client(REMOTE_ADDR="192.0.2.7", headers={"User-Agent": "Browser/1"})
    client.force_login(User.objects.create_superuser("admin"))
    return client


def page(name: str, *args: Any) -> str:
    return reverse(f"admin:{name}", args=args)


def add_form(**fields: Any) -> dict[str, Any]:
    return {"uri": URI, "kind": "content", "content": '{"a": 1}', "on_conflict": "last_write_wins"} | fields


def created(browser: Client, **fields: Any) -> Resource:
    answer = browser.post(page("resources_app_resource_add"), add_form(**fields))
    assert answer.status_code == 302, errors_in(answer)
    return Resource.objects.get(uri=fields.get("uri", URI))


def change_form(resource: Resource, **fields: Any) -> dict[str, Any]:
    stored = {"name": resource.name, "title": resource.title, "description": resource.description}
    shown = {"kind": resource.kind, "content": bytes(resource.body).decode(), "mime_type": resource.mime_type}
    return stored | shown | {"base_version": resource.version} | fields


def errors_in(answer: Any) -> str:
    return str(answer.context["adminform"].form.errors) if answer.context else ""


def said(answer: Any) -> list[str]:
    return [str(message) for message in answer.context["messages"]]


def actions() -> list[tuple[str, str, str, str]]:
    """What the trail has of changes, in order."""
    move_entries()
    rows = AuditEntry.objects.order_by("sequence").exclude(Q(action="auth/login") | Q(action__regex="/(list|read)$"))
    return list(rows.values_list("action", "outcome", "transport", "resource_id"))


def test_adding_a_resource_makes_a_version_an_event_and_an_entry(browser: Client) -> None:
    resource = created(browser, title="First", mime_type="application/vnd.x+json")
    assert (resource.version, resource.kind, bytes(resource.body)) == (1, "content", b'{"a":1}')
    assert (resource.name, resource.title, resource.mime_type) == ("one", "First", "application/vnd.x+json")
    event = Event.objects.get()
    assert (event.type, event.uri, event.version, event.offset) == ("created", URI, 1, resource.offset)
    move_entries()
    entry = AuditEntry.objects.get(action="resources/create")
    assert (entry.transport, entry.user, entry.outcome, entry.resource_id) == ("admin", "admin", "success", URI)
    assert (entry.source_ip, entry.user_agent) == ("192.0.2.7", "Browser/1")
    assert not LogEntry.objects.exists()


@pytest.mark.parametrize("text", ['""', "null", "[]", "0"])
def test_empty_values_are_content_too(browser: Client, text: str) -> None:
    assert bytes(created(browser, content=text).body).decode() == text


def test_changing_a_resource_makes_the_next_version(browser: Client) -> None:
    resource = created(browser)
    form = change_form(resource, content='{"a": 2}', description="Changed")
    answer = browser.post(page("resources_app_resource_change", resource.pk), form)
    assert answer.status_code == 302, errors_in(answer)
    resource.refresh_from_db()
    assert (resource.version, bytes(resource.body), resource.description) == (2, b'{"a":2}', "Changed")
    assert [event.type for event in Event.objects.order_by("offset")] == ["created", "updated"]
    assert actions() == [
        ("resources/create", "success", "admin", URI),
        ("resources/write", "success", "admin", URI),
    ]


def test_a_form_of_an_old_version_is_refused(browser: Client) -> None:
    resource = created(browser)
    url = page("resources_app_resource_change", resource.pk)
    browser.post(url, change_form(resource, content="2"))
    answer = browser.post(url, change_form(resource, content="3"))
    assert answer.status_code == 200
    assert "version 2 now" in errors_in(answer)
    resource.refresh_from_db()
    assert (resource.version, bytes(resource.body)) == (2, b"2")
    assert actions()[-1] == ("resources/write", "refused", "admin", URI)


def test_a_form_that_lost_its_version_is_refused(browser: Client) -> None:
    resource = created(browser)
    answer = browser.post(
        page("resources_app_resource_change", resource.pk), change_form(resource, base_version="", content="3")
    )
    assert answer.status_code == 200
    resource.refresh_from_db()
    assert resource.version == 1


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"uri": "no uri"}, "character that must be percent-encoded"),
        ({"uri": "resource://demo.local/../x"}, "dot segments"),
        ({"content": "{"}, "not valid JSON"),
        ({"content": "[" * 100 + "]" * 100}, "nested deeper"),
        ({"mime_type": "nonsense"}, "required pattern"),
        ({"kind": "blob"}, "valid choice"),
        ({"on_conflict": "maybe"}, "valid choice"),
    ],
)
def test_what_is_wrong_is_said_in_the_form(browser: Client, fields: Mapping[str, str], message: str) -> None:
    answer = browser.post(page("resources_app_resource_add"), add_form(**fields))
    assert answer.status_code == 200
    assert message in errors_in(answer)
    assert not Resource.objects.exists()


def test_an_existing_uri_is_refused(browser: Client) -> None:
    created(browser)
    answer = browser.post(page("resources_app_resource_add"), add_form())
    assert "exists already" in errors_in(answer)


def test_text_keeps_its_lines(browser: Client) -> None:
    resource = created(browser, kind="text", content="one\r\n two \r\n")
    assert bytes(resource.body) == b"one\n two \n"
    assert resource.mime_type == "text/plain"


def test_what_is_not_edited_stays_as_it_is(browser: Client) -> None:
    resource = created(browser, content='{"b": 1.0, "a": "\\u0000"}')
    shown = browser.get(page("resources_app_resource_change", resource.pk)).context["adminform"].form["content"].value()
    form = change_form(resource, title="Only this", content=shown.replace("\n", "\r\n"))
    browser.post(page("resources_app_resource_change", resource.pk), form)
    before = bytes(resource.body)
    resource.refresh_from_db()
    assert (resource.version, resource.title, bytes(resource.body)) == (2, "Only this", before)


def test_a_blob_is_shown_and_keeps_its_content(browser: Client) -> None:
    content = Content(kind=Kind.BLOB, body=PIXEL.encode(), size=13)
    write = Write(uri=URI, content=content, mime_type="image/gif")
    writer.run(
        ChangeResources(changes=[write], entry=Entry(timestamp=0.0, action="resources/write", transport="system"))
    )
    resource = Resource.objects.get()
    url = page("resources_app_resource_change", resource.pk)
    shown = browser.get(url).content.decode()
    assert f"data:image/gif;base64,{PIXEL}" in shown
    form = {"name": "pixel", "title": "", "description": "", "mime_type": "image/gif", "base_version": 1}
    answer = browser.post(url, form)
    assert answer.status_code == 302, errors_in(answer)
    resource.refresh_from_db()
    assert (resource.name, resource.kind, bytes(resource.body).decode()) == ("pixel", "blob", PIXEL)


def test_deleting_a_resource_is_a_change_like_any_other(browser: Client) -> None:
    resource = created(browser)
    answer = browser.post(page("resources_app_resource_delete", resource.pk), {"post": "yes"}, follow=True)
    assert "was deleted successfully" in said(answer)[-1]
    resource.refresh_from_db()
    assert (resource.deleted, resource.version) == (True, 2)
    assert Event.objects.latest("offset").type == "deleted"
    assert actions()[-1] == ("resources/delete", "success", "admin", URI)
    assert created(browser).version == 3


def test_many_are_deleted_in_one_batch(browser: Client) -> None:
    rows = [created(browser, uri=f"{URI}/{n}") for n in range(3)]
    form = {"action": "delete_selected", "_selected_action": [row.pk for row in rows[:2]], "post": "yes"}
    answer = browser.post(page("resources_app_resource_changelist"), form, follow=True)
    assert "Successfully deleted 2" in said(answer)[-1]
    assert list(Resource.objects.filter(deleted=False)) == [rows[2]]
    assert actions()[-1][:3] == ("resources/batch", "success", "admin")


def test_resources_are_found_by_the_beginning_of_their_uri(browser: Client) -> None:
    created(browser, uri="resource://demo.local/a/1")
    created(browser, uri="resource://demo.local/b/1")
    answer = browser.get(page("resources_app_resource_changelist"), {"q": "resource://demo.local/a"})
    assert [row.uri for row in answer.context["cl"].result_list] == ["resource://demo.local/a/1"]


def test_looking_at_a_resource_is_audited(browser: Client) -> None:
    resource = created(browser)
    browser.get(page("resources_app_resource_change", resource.pk))
    move_entries()
    entry = AuditEntry.objects.get(action="resources/read")
    assert (entry.transport, entry.user, entry.resource_id) == ("admin", "admin", URI)


def test_histories_are_in_the_trail(browser: Client) -> None:
    resource = created(browser)
    created(browser, uri=f"{URI}/other")
    move_entries()
    entry = AuditEntry.objects.get(resource_id=URI)
    for url in (
        page("resources_app_resource_history", resource.pk),
        page("resources_app_event_history", resource.offset),
        page("audit_app_auditentry_history", entry.pk),
    ):
        answer = browser.get(url, follow=True)
        assert [row.pk for row in answer.context["cl"].result_list] == [entry.pk]


def test_a_subscription_is_created_and_deleted(browser: Client) -> None:
    form = {
        "uri": "resource://demo.local/*",
        "events": ["created", "deleted"],
        "label": "mine",
        "batch_size": 5,
        "throttle_ms": 0,
        "include_content": "on",
    }
    answer = browser.post(page("resources_app_subscription_add"), form)
    assert answer.status_code == 302, errors_in(answer)
    row = Subscription.objects.get()
    assert (row.pattern, row.events, row.label) == ("resource://demo.local/*", "created,deleted", "mine")
    assert orjson.loads(row.options) == {"batch_size": 5, "throttle_ms": 0, "delta": False, "include_content": True}
    assert "admin" in browser.get(page("resources_app_subscription_changelist")).content.decode()
    assert browser.get(page("resources_app_subscription_change", row.pk)).status_code == 200
    browser.post(page("resources_app_subscription_delete", row.pk), {"post": "yes"})
    assert not Subscription.objects.exists()
    assert [action[:3] for action in actions()] == [
        ("subscriptions/create", "success", "admin"),
        ("subscriptions/delete", "success", "admin"),
    ]


@pytest.mark.parametrize("url", ["one", "many"])
def test_an_admin_may_delete_anybodys_subscription(browser: Client, url: str) -> None:
    other = Client()
    other.force_login(User.objects.create_superuser("other"))
    form = {"uri": "resource://demo.local/*", "events": ["created"], "batch_size": 5, "throttle_ms": 0}
    other.post(page("resources_app_subscription_add"), form)
    row = Subscription.objects.get()
    if url == "one":
        browser.post(page("resources_app_subscription_delete", row.pk), {"post": "yes"}, follow=True)
    else:
        form = {"action": "delete_selected", "_selected_action": [row.pk], "post": "yes"}
        browser.post(page("resources_app_subscription_changelist"), form, follow=True)
    assert not Subscription.objects.exists()
    assert actions()[-1][:3] == ("subscriptions/delete", "success", "admin")


def test_a_subscription_to_what_does_not_exist_is_refused(browser: Client) -> None:
    form = {"uri": URI, "events": ["created"], "batch_size": 5, "throttle_ms": 0}
    answer = browser.post(page("resources_app_subscription_add"), form)
    assert "no such resource" in errors_in(answer)


def test_the_log_can_be_looked_at_and_not_changed(browser: Client) -> None:
    created(browser)
    event = Event.objects.get()
    assert URI in browser.get(page("resources_app_event_changelist")).content.decode()
    shown = browser.get(page("resources_app_event_change", event.pk))
    assert "erlmcp.resource.created" in shown.content.decode()
    assert browser.post(page("resources_app_event_change", event.pk), {"uri": "x"}).status_code == 403
    assert browser.post(page("resources_app_event_delete", event.pk), {"post": "yes"}).status_code == 403
    assert browser.get(page("resources_app_event_add")).status_code == 403


def test_the_trail_is_shown_filtered_and_searched(browser: Client, leave: Leave) -> None:
    leave(user="alice", action="resources/write", resource_id=URI)
    leave(user="bob", action="resources/list")
    move_entries()
    listing = page("audit_app_auditentry_changelist")
    assert {"alice", "bob"} <= users_in(browser.get(listing))
    assert users_in(browser.get(listing, {"q": "bob"})) == {"bob"}
    assert users_in(browser.get(listing, {"q": URI})) == {"alice"}
    assert users_in(browser.get(listing, {"queue__exact": str(Queue.SECURITY)})).isdisjoint({"alice", "bob"})
    entry = AuditEntry.objects.get(user="alice")
    detail = browser.get(page("audit_app_auditentry_change", entry.pk)).content.decode()
    assert URI in detail
    assert "&quot;n&quot;: 0" in detail


def users_in(answer: Any) -> set[str]:
    return {entry.user for entry in answer.context["cl"].result_list}


def test_looking_at_the_trail_leaves_an_entry(browser: Client) -> None:
    browser.get(page("audit_app_auditentry_changelist"))
    move_entries()
    entry = AuditEntry.objects.get(action="audit/list")
    assert (entry.transport, entry.user, entry.outcome) == ("admin", "admin", "success")


def test_the_trail_cannot_be_changed(browser: Client, leave: Leave) -> None:
    leave(user="alice")
    move_entries()
    entry = AuditEntry.objects.get(user="alice")
    listing = page("audit_app_auditentry_changelist")
    assert browser.get(page("audit_app_auditentry_add")).status_code == 403
    assert browser.post(page("audit_app_auditentry_change", entry.pk), {"user": "x"}).status_code == 403
    assert browser.post(page("audit_app_auditentry_delete", entry.pk), {"post": "yes"}).status_code == 403
    browser.post(listing, {"action": "delete_selected", "_selected_action": [entry.pk], "post": "yes"})
    assert AuditEntry.objects.get(pk=entry.pk).user == "alice"


def test_the_outbox_can_be_looked_at(browser: Client, leave: Leave) -> None:
    leave(user="carol")
    waiting = OutboxEntry.objects.latest("pk")
    assert "carol" in browser.get(page("audit_app_outboxentry_changelist")).content.decode()
    assert "carol" in browser.get(page("audit_app_outboxentry_change", waiting.pk)).content.decode()
    assert browser.post(page("audit_app_outboxentry_delete", waiting.pk), {"post": "yes"}).status_code == 403


def test_pages_are_only_for_those_who_may(leave: Leave) -> None:
    user = User.objects.create_user("clerk", is_staff=True)
    user.user_permissions.add(Permission.objects.get(codename="read", content_type__app_label="resources_app"))
    clerk = Client()
    clerk.force_login(user)
    assert clerk.get(page("resources_app_resource_changelist")).status_code == 200
    assert clerk.get(page("resources_app_resource_add")).status_code == 403
    assert clerk.get(page("audit_app_auditentry_changelist")).status_code == 403
    assert clerk.get(page("audit_app_outboxentry_changelist")).status_code == 403
