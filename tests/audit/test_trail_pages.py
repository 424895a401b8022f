"""The pages of the trail in the admin: narrowed, searched, in the middle of the chain, exported; each look is told."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import orjson
import pytest
from asgiref.sync import async_to_sync
from django.contrib.auth.models import Permission, User
from django.core.management import CommandError, call_command
from django.db import connections
from django.test import Client
from django.urls import reverse

from audit_app.models import AuditEntry
from audit_app.mover import move_entries
from erlmcp_site.admin.trail_filters import FirstPages
from erlmcp_site.admin.trail_parts import BAD, GOOD, UNKNOWN, links_around
from tests.audit.conftest import Leave
from tests.stack.processes import free_port

pytestmark = pytest.mark.django_db(transaction=True, databases=["default", "audit"])

LISTING = "audit_app_auditentry_changelist"
URI = "resource://demo.local/a/b"
SESSION = "0198c6f0-0000-4000-8000-000000000001"


@pytest.fixture
def browser() -> Client:
    """A browser that is logged in to the admin as a superuser."""
    client = Client(REMOTE_ADDR="192.0.2.7", headers={"User-Agent": "Browser/1"})
    client.force_login(User.objects.create_superuser("admin"))
    move_entries()
    return client


@pytest.fixture
def clerk() -> Client:
    """A browser of somebody who may see resources, and nothing of the trail."""
    user = User.objects.create_user("clerk", is_staff=True)
    user.user_permissions.add(Permission.objects.get(codename="read", content_type__app_label="resources_app"))
    client = Client()
    client.force_login(user)
    return client


def page(name: str, *args: Any) -> str:
    return reverse(f"admin:{name}", args=args)


def users_in(answer: Any) -> list[str]:
    return [entry.user for entry in answer.context["cl"].result_list if entry.user not in {"admin", ""}]


def looks() -> list[tuple[str, str, str, Mapping[str, Any]]]:
    """(user, action, outcome, details) of everything that the trail has of looks into it, in order."""
    move_entries()
    rows = AuditEntry.objects.filter(action__in=["audit/list", "audit/export"]).order_by("sequence")
    found = rows.values_list("user", "action", "outcome", "details")
    return [(user, action, outcome, orjson.loads(details)) for user, action, outcome, details in found]


def content_of(answer: Any) -> bytes:
    """What a streamed answer comes to."""

    async def gathered() -> bytes:
        return b"".join([chunk async for chunk in answer.streaming_content])

    return async_to_sync(gathered)()


@pytest.mark.parametrize(
    ("filters", "found"),
    [
        ({"user": "alice"}, ["alice"]),
        ({"action": "resources/list"}, ["bob"]),
        ({"action": "made/up"}, []),
        ({"transport": "websocket"}, ["bob"]),
        ({"resource": URI}, ["alice"]),
        ({"resource": "resource://demo.local/*"}, ["bob", "alice"]),
        ({"request_id": "request-of-alice"}, ["alice"]),
        ({"session_id": SESSION, "user": "alice"}, ["alice"]),
        ({"timestamp_from_0": "1970-01-01", "timestamp_from_1": "00:00:15"}, ["bob"]),
        ({"timestamp_to_0": "1970-01-01", "timestamp_to_1": "00:00:15"}, ["alice"]),
        ({"timestamp_from_0": "1970-01-01", "timestamp_to_0": "1970-01-01"}, ["bob", "alice"]),
        ({"outcome__exact": "success", "queue__exact": "2"}, ["bob", "alice"]),
        ({"q": "request-of-alice"}, ["alice"]),
        ({"q": SESSION}, ["alice"]),
        ({"q": "alice"}, ["alice"]),
        ({"q": "resource://demo.local/a/*"}, ["alice"]),
        ({"q": "nothing of the kind"}, []),
    ],
)
def test_the_list_is_narrowed(browser: Client, leave: Leave, filters: Mapping[str, str], found: list[str]) -> None:
    fields = {"request_id": "request-of-alice", "session_id": SESSION, "resource_id": URI}
    leave(timestamp=10.0, user="alice", **fields)
    leave(
        timestamp=20.0,
        user="bob",
        action="resources/list",
        transport="websocket",
        resource_id="resource://demo.local/c",
    )
    move_entries()
    answer = browser.get(page(LISTING), filters)
    assert answer.status_code == 200
    assert users_in(answer) == found


def test_more_than_the_pages_show_is_not_counted(
    monkeypatch: pytest.MonkeyPatch, browser: Client, leave: Leave
) -> None:
    monkeypatch.setattr("erlmcp_site.admin.trail_filters.MOST", 60)
    leave(100)
    move_entries()
    answer = browser.get(page(LISTING), {"p": 2})
    paginator = answer.context["cl"].paginator
    assert isinstance(paginator, FirstPages)
    assert (paginator.count, paginator.is_cut, len(answer.context["cl"].result_list)) == (60, True, 10)
    assert "narrow the filters" in answer.content.decode()


def test_the_page_of_an_entry_shows_the_chain_around_it(browser: Client, leave: Leave) -> None:
    leave(7, user="alice", session_id=SESSION, resource_id=URI)
    move_entries()
    entries = list(AuditEntry.objects.order_by("sequence"))
    middle = entries[3]
    assert [(link.entry.sequence, link.hash, link.prev_hash) for link in links_around(middle)] == [
        (sequence, GOOD, GOOD) for sequence in range(middle.sequence - 2, middle.sequence + 3)
    ]
    assert [link.prev_hash for link in links_around(entries[0])] == [GOOD, GOOD, GOOD]
    text = browser.get(page("audit_app_auditentry_change", middle.pk)).content.decode()
    for entry in entries[1:6]:
        assert page("audit_app_auditentry_change", entry.pk) in text
        assert str(entry.hash) in text
    assert f"session_id={SESSION}" in text
    assert f"request_id={middle.request_id}" in text


def test_an_entry_that_was_bent_does_not_fit(leave: Leave) -> None:
    leave(5)
    move_entries()
    with connections["audit"].cursor() as cursor:
        cursor.execute("UPDATE audit_app_auditentry SET user_name = 'mallory' WHERE sequence = 3")
        cursor.execute("DELETE FROM audit_app_auditentry WHERE sequence = 4")
    found = {
        link.entry.sequence: (link.hash, link.prev_hash) for link in links_around(AuditEntry.objects.get(sequence=3))
    }
    assert found == {1: (GOOD, GOOD), 2: (GOOD, GOOD), 3: (BAD, GOOD), 5: (GOOD, UNKNOWN)}


def test_what_clients_sent_is_text_on_the_pages(browser: Client, leave: Leave) -> None:
    script = "<script>alert(1)</script>"
    leave(
        user=script, resource_id=f"resource://x/{script}", user_agent=script, details={"a": script}, session_id=script
    )
    move_entries()
    entry = AuditEntry.objects.get(user=script)
    for url in (page(LISTING), page("audit_app_auditentry_change", entry.pk)):
        assert script not in browser.get(url).content.decode()


def test_each_look_leaves_one_entry_that_tells_what_was_looked_at(browser: Client, leave: Leave) -> None:
    leave(user="alice")
    move_entries()
    entry = AuditEntry.objects.get(user="alice")
    browser.get(page(LISTING), {"user": "alice", "p": "1"})
    browser.get(page("audit_app_auditentry_change", entry.pk))
    browser.get(page("audit_app_outboxentry_changelist"))
    assert looks() == [
        ("admin", "audit/list", "success", {"looked_at": "trail", "filters": {"user": "alice", "p": "1"}}),
        ("admin", "audit/list", "success", {"looked_at": "trail", "entry": entry.pk}),
        ("admin", "audit/list", "success", {"looked_at": "outbox", "filters": {}}),
    ]


def test_a_look_that_is_not_allowed_leaves_an_entry_too(clerk: Client) -> None:
    assert clerk.get(page(LISTING)).status_code == 403
    assert clerk.get(page("audit_app_auditentry_export", "jsonl")).status_code == 403
    assert [look[:3] for look in looks()] == [
        ("clerk", "audit/list", "refused"),
        ("clerk", "audit/export", "refused"),
    ]


def test_what_the_filters_choose_is_exported_and_told(browser: Client, leave: Leave) -> None:
    leave(3, user="alice")
    leave(2, user="bob")
    move_entries()
    answer = browser.get(page("audit_app_auditentry_export", "jsonl"), {"user": "alice"})
    assert answer.status_code == 200
    assert answer.headers["Content-Disposition"].startswith('attachment; filename="trail-')
    lines = content_of(answer).splitlines()
    assert [orjson.loads(line)["user"] for line in lines] == ["alice"] * 3
    assert looks() == [
        ("admin", "audit/export", "success", {"format": "jsonl", "entries": 3, "filters": {"user": "alice"}})
    ]


@pytest.mark.parametrize(
    ("format", "query", "status"),
    [("pdf", {}, 404), ("csv", {"queue__exact": "x"}, 400), ("csv", {"timestamp_from_0": "x"}, 400)],
)
def test_what_cannot_be_exported_is_refused(
    browser: Client, format: str, query: Mapping[str, str], status: int
) -> None:
    assert browser.get(page("audit_app_auditentry_export", format), query).status_code == status
    assert looks() == []


@pytest.mark.parametrize(
    "address",
    [
        "auditentry/?user=%00",
        "auditentry/?resource=resource://%00/*",
        "auditentry/?request_id=%00",
        "auditentry/?transport=a&transport=%00",
        "auditentry/%00/change/",
        "auditentry/export/csv/?user=%00",
        "auditentry/?user__regex=(",
        "auditentry/?hash__iregex=(a*)*$",
        "deadletter/?sink=%00",
        "sink/%00/change/",
    ],
)
def test_what_no_database_can_be_asked_for_is_a_bad_request(browser: Client, address: str) -> None:
    assert browser.get(f"/admin/audit_app/{address}").status_code == 400


def _let_go(connection: Any) -> None:
    """Close a connection, and the pool that it is from."""
    connection.close()
    if connection.vendor == "postgresql":
        connection.close_pool()


@pytest.fixture
def audit_database_is_away(browser: Client, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    away = connections["audit"]
    # a folder is no database file, and where nobody listens is no server
    name, value = ("NAME", tmp_path) if away.vendor == "sqlite" else ("PORT", str(free_port()))
    _let_go(away)
    with monkeypatch.context() as patch:
        patch.setitem(away.settings_dict, name, value)
        if away.vendor == "postgresql":
            # how long its pool waits before it gives up
            patch.setitem(away.settings_dict["OPTIONS"]["pool"], "timeout", 0.2)
        yield
        _let_go(away)


@pytest.mark.usefixtures("audit_database_is_away")
@pytest.mark.parametrize(
    "address",
    ["auditentry/", "auditentry/x/change/", "auditentry/export/csv/", "sink/", "sink/x/change/", "deadletter/"],
)
def test_pages_say_that_the_audit_database_is_away(browser: Client, address: str) -> None:
    answer = browser.get(f"/admin/audit_app/{address}")
    assert answer.status_code == 503
    assert answer["Retry-After"] == "1"


@pytest.mark.usefixtures("audit_database_is_away")
@pytest.mark.parametrize(
    ("command", "said"),
    [
        ("sinks list", "A database does not answer as it should: "),
        ("sinks pause x", "A database does not answer as it should: "),
        ("checkpoint", "Nothing was signed: "),
        ("prove x", "The entry could not be looked up: "),
    ],
)
def test_commands_say_in_a_line_that_the_audit_database_is_away(command: str, said: str) -> None:
    with pytest.raises(CommandError) as error:
        call_command("audit", *command.split())
    (line,) = str(error.value).splitlines()
    assert line.startswith(said) and len(line) > len(said)
