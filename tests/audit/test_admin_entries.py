"""What is seen, denied and changed in the admin is on record: one entry each, with the difference that it made."""

from collections.abc import Iterator
from typing import Any

import orjson
import pytest
from auditlog.models import LogEntry as AuditlogEntry
from django.contrib.admin.models import LogEntry as AdminEntry
from django.contrib.auth.models import Group, Permission, User
from django.test import Client
from pytest_django import Settings

from audit_app.models import OutboxEntry, Sink
from audit_app.policy import parse_rule
from audit_app.queues import Queue
from audit_app.redaction import REDACTED, parse_redaction
from audit_app.watermark import Backlog, watermark
from tests.audit.test_watermark import refuse_entries, take_entries

pytestmark = pytest.mark.django_db(transaction=True, databases=["default", "audit"])

PASSWORD = "a long one 4711"
RESOURCE = {"uri": "resource://demo.local/a", "kind": "content", "content": "1", "on_conflict": "last_write_wins"}
SUBSCRIPTION = {"uri": "resource://demo.local/*", "events": ["created"], "batch_size": 5, "throttle_ms": 0}


@pytest.fixture
def browser(settings: Settings) -> Client:
    """A browser that is logged in to the admin as a superuser; logging in is quick."""
    settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
    client = Client(REMOTE_ADDR="192.0.2.7", headers={"User-Agent": "Browser/1"}, raise_request_exception=False)
    client.force_login(User.objects.create_superuser("admin", password=PASSWORD))
    OutboxEntry.objects.all().delete()
    return client


@pytest.fixture
def full() -> Iterator[None]:
    watermark.take(Backlog(10**9, 0.0))
    yield
    watermark.take(Backlog(0, 0.0))


def entries() -> list[dict[str, Any]]:
    rows = OutboxEntry.objects.order_by("id").values_list("queue", "entry")
    return [orjson.loads(text) | {"queue": queue} for queue, text in rows]


@pytest.mark.parametrize(
    ("path", "action", "queue"),
    [
        ("resources_app/resource/", "resources/list", Queue.DATA),
        ("resources_app/event/", "events/list", Queue.DATA),
        ("resources_app/subscription/", "subscriptions/list", Queue.DATA),
        ("sessions_app/session/", "sessions/list", Queue.SECURITY),
        ("sessions_app/tokenfamily/", "auth/list", Queue.SECURITY),
        ("auth/user/", "access/list", Queue.SECURITY),
        ("auth/group/", "access/list", Queue.SECURITY),
        ("audit_app/auditentry/", "audit/list", Queue.SECURITY),
        ("audit_app/outboxentry/", "audit/list", Queue.SECURITY),
        ("audit-policy/", "audit/policy", Queue.SECURITY),
        ("encryption/", "encryption/status", Queue.SECURITY),
    ],
)
def test_a_look_leaves_one_entry(browser: Client, path: str, action: str, queue: Queue) -> None:
    assert browser.get(f"/admin/{path}").status_code == 200
    (entry,) = entries()
    assert (entry["action"], entry["outcome"], entry["queue"]) == (action, "success", queue)
    assert (entry["user"], entry["transport"], entry["source_ip"]) == ("admin", "admin", "192.0.2.7")
    assert (entry["user_agent"], bool(entry["request_id"])) == ("Browser/1", True)


def test_a_look_at_one_thing_names_it(browser: Client) -> None:
    user = User.objects.create_user("carol")
    browser.get(f"/admin/auth/user/{user.pk}/change/")
    (entry,) = entries()
    assert (entry["action"], entry["resource_type"], entry["resource_id"]) == ("access/read", "user", str(user.pk))


@pytest.mark.parametrize(
    "path", ["auth/user/", "audit_app/auditentry/", "audit-policy/", "resources_app/resource/add/"]
)
def test_what_is_denied_leaves_one_entry_for_security(path: str) -> None:
    clerk = Client(REMOTE_ADDR="192.0.2.8")
    clerk.force_login(User.objects.create_user("clerk", is_staff=True))
    OutboxEntry.objects.all().delete()
    assert clerk.get(f"/admin/{path}").status_code == 403
    (entry,) = entries()
    assert (entry["user"], entry["code"], entry["queue"]) == ("clerk", "forbidden", Queue.SECURITY)


def test_reads_that_are_off_leave_no_entry_but_those_for_security(browser: Client, settings: Settings) -> None:
    settings.AUDIT_READS = "off"
    browser.get("/admin/resources_app/resource/")
    browser.get("/admin/auth/user/")
    assert [entry["action"] for entry in entries()] == ["access/list"]


def test_a_change_tells_the_difference_and_no_password(browser: Client) -> None:
    carol = User.objects.create_user("carol", email="old@example.com", password=PASSWORD)
    carol.groups.add(Group.objects.get(name="viewer"))
    form = {
        "username": "carol",
        "email": "new@example.com",
        "is_active": "on",
        "groups": [Group.objects.get(name="user").pk],
        "date_joined_0": carol.date_joined.strftime("%Y-%m-%d"),
        "date_joined_1": carol.date_joined.strftime("%H:%M:%S"),
    }
    assert browser.post(f"/admin/auth/user/{carol.pk}/change/", form).status_code == 302
    browser.post(f"/admin/auth/user/{carol.pk}/delete/", {"post": "yes"})
    changed, deleted = (entry for entry in entries() if entry["action"] == "access/user")
    changes = changed["details"]["changes"]
    assert changes["email"] == ["old@example.com", "new@example.com"]
    assert changes["groups"] == [["viewer"], ["user"]]
    assert "is_active" not in changes and "password" not in changes
    gone = deleted["details"]["changes"]
    assert (gone["username"], gone["groups"]) == (["carol", None], [["user"], None])
    assert gone["password"] == "[redacted]"
    assert "pbkdf2" not in str(entries()) and "md5" not in str(entries())


def test_a_group_tells_which_permissions_it_got(browser: Client) -> None:
    permission = Permission.objects.get(codename="read", content_type__app_label="resources_app")
    browser.post("/admin/auth/group/add/", {"name": "clerks", "permissions": [permission.pk]})
    (entry,) = entries()
    assert entry["details"]["changes"]["permissions"] == [None, [str(permission)]]
    assert entry["details"]["changes"]["name"] == [None, "clerks"]


def test_a_new_user_is_told_with_the_types_of_json(browser: Client) -> None:
    form = {"username": "carol", "usable_password": "true", "password1": PASSWORD, "password2": PASSWORD}
    assert browser.post("/admin/auth/user/add/", form).status_code == 302
    (entry,) = entries()
    changes = entry["details"]["changes"]
    assert (changes["username"], changes["is_active"], changes["is_staff"]) == (
        [None, "carol"],
        [None, True],
        [None, False],
    )
    assert changes.keys() <= {field.name for field in User._meta.get_fields() if field.concrete}


def test_a_change_that_is_none_tells_of_none(browser: Client) -> None:
    group = Group.objects.get(name="viewer")
    form = {"name": "viewer", "permissions": [permission.pk for permission in group.permissions.all()]}
    assert browser.post(f"/admin/auth/group/{group.pk}/change/", form).status_code == 302
    (entry,) = entries()
    assert entry["details"]["changes"] == {}


def test_of_a_password_nothing_is_told_but_that_it_changed(browser: Client, settings: Settings) -> None:
    """Not even where the settings say that nothing is secret by its name."""
    settings.AUDIT_REDACT = parse_redaction("")
    carol = User.objects.create_user("carol", password="another one 4711")
    hashes = [carol.password]
    form = {"usable_password": "true", "password1": PASSWORD, "password2": PASSWORD}
    assert browser.post(f"/admin/auth/user/{carol.pk}/password/", form).status_code == 302
    carol.refresh_from_db()
    hashes.append(carol.password)
    assert hashes[0] != hashes[1]
    browser.post(f"/admin/auth/user/{carol.pk}/delete/", {"post": "yes"})
    changed, deleted = (entry for entry in entries() if entry["action"] == "access/user")
    assert changed["details"]["changes"] == {"password": [REDACTED, REDACTED]}
    assert deleted["details"]["changes"]["password"] == [REDACTED, REDACTED]
    kept = str(entries())
    assert not any(part in kept for text in hashes for part in (text[-8:], text[:8]))


def test_there_is_no_second_trail(browser: Client) -> None:
    """What django-auditlog would write for saves, deletions and new members, and Django's admin for its forms."""
    permission = Permission.objects.get(codename="read", content_type__app_label="resources_app")
    form = {"username": "carol", "usable_password": "true", "password1": PASSWORD, "password2": PASSWORD}
    additions: tuple[tuple[str, dict[str, Any]], ...] = (
        ("auth/group/add/", {"name": "clerks", "permissions": [permission.pk]}),
        ("auth/user/add/", form),
        ("resources_app/resource/add/", RESOURCE),
        ("resources_app/subscription/add/", SUBSCRIPTION),
    )
    for path, posted in additions:
        answer = browser.post(f"/admin/{path}", posted)
        assert answer.status_code == 302, answer.context["errors"]
    clerks, carol = Group.objects.get(name="clerks"), User.objects.get(username="carol")
    Sink.objects.create(name="siem")
    changes: tuple[tuple[str, dict[str, Any]], ...] = (
        (f"auth/group/{clerks.pk}/change/", {"name": "scribes"}),
        (f"auth/user/{carol.pk}/password/", form),
        ("auth/user/", {"action": "delete_selected", "_selected_action": [carol.pk], "post": "yes"}),
        (f"auth/group/{clerks.pk}/delete/", {"post": "yes"}),
        ("audit_app/sink/", {"action": "pause", "_selected_action": ["siem"]}),
        ("audit_app/sink/siem/change/", {"first": "1"}),
    )
    for path, posted in changes:
        assert browser.post(f"/admin/{path}", posted).status_code == 302, path
    assert not User.objects.filter(username="carol").exists() and not Group.objects.filter(pk=clerks.pk).exists()
    # past the admin, too, as `manage.py createsuperuser` does
    user = User.objects.create_user("dave")
    user.groups.add(Group.objects.get(name="viewer"))
    user.delete()
    assert not AuditlogEntry.objects.exists()
    assert not AdminEntry.objects.exists()
    assert browser.get("/admin/auditlog/logentry/").status_code == 404
    assert [entry["action"] for entry in entries() if entry["outcome"] == "success"] == [
        *("access/group", "access/user", "resources/create", "subscriptions/create"),
        *("access/group", "access/user", "access/user", "access/group", "audit/sinks", "audit/sinks"),
    ]


def test_above_the_watermark_the_admin_shows_only_the_trail(browser: Client, full: None) -> None:
    for path in ("auth/user/", "resources_app/resource/", "login/", ""):
        answer = browser.get(f"/admin/{path}")
        assert (answer.status_code, answer["Retry-After"]) == (503, "5")
    assert browser.get("/admin/audit_app/outboxentry/").status_code == 200


def test_nobody_logs_in_or_looks_unaudited(browser: Client) -> None:
    refuse_entries()
    stranger = Client(raise_request_exception=False)
    try:
        answer = stranger.post("/admin/login/", {"username": "admin", "password": PASSWORD})
        assert answer.status_code == 503
        assert stranger.get("/admin/auth/user/").status_code == 302
        assert browser.get("/admin/auth/user/").status_code == 503
        assert browser.post("/admin/auth/group/add/", {"name": "clerks"}).status_code == 503
        assert not Group.objects.filter(name="clerks").exists()
    finally:
        take_entries()
    assert browser.get("/admin/auth/user/").status_code == 200


def test_the_policy_can_be_looked_at(browser: Client, settings: Settings) -> None:
    settings.AUDIT_POLICY = (parse_rule("resources/read@resource://demo.local/*=metadata"),)
    page = browser.get("/admin/audit-policy/").content.decode()
    assert "resource://demo.local/*" in page
    assert "metadata" in page and "1000000" in page
