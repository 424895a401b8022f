"""Reading the trail by `audit/list`."""

import time
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import orjson
import pytest
from asgiref.sync import async_to_sync
from django.contrib.auth.models import Group, User

from audit_app import queries
from audit_app.errors import InvalidParams
from audit_app.models import AuditEntry
from audit_app.mover import move_entries
from audit_app.queries import Order
from erlmcp_site.methods.catalogue import pipeline
from erlmcp_site.pipeline.messages import Credentials, Reply, Request
from sessions_app.errors import Forbidden, RateLimited
from tests.audit.conftest import Leave

pytestmark = pytest.mark.django_db(transaction=True, databases=["default", "audit"])

KEYS = {
    *("id", "sequence", "timestamp", "queue", "user_id", "user", "action", "outcome", "resource_type", "resource_id"),
    *("details", "source_ip", "user_agent", "session_id", "request_id", "transport", "prev_hash", "hash"),
}


@pytest.fixture
def auditor() -> User:
    return User.objects.create_superuser("auditor")


def list_as(user: User, /, **params: Any) -> Reply:
    return async_to_sync(pipeline.run)(
        Request(
            id="the-request",
            method="audit/list",
            params=params,
            transport="admin",
            timestamp=time.time(),
            credentials=Credentials(user=user),
        )
    )


def listed(user: User, /, **params: Any) -> Mapping[str, Any]:
    reply = list_as(user, **params)
    assert reply.refusal is None, reply.refusal
    result: Mapping[str, Any] = orjson.loads(orjson.dumps(reply.result))
    return result


def requests_of(user: User, /, **params: Any) -> list[str]:
    return [entry["request_id"] for entry in listed(user, **params)["entries"]]


def test_an_entry_reads_as_the_contract_says(leave: Leave, auditor: User) -> None:
    leave(details={"version": 3}, user="alice", user_id="7", refusal=Forbidden())
    move_entries()
    (entry,) = listed(auditor)["entries"]
    assert set(entry) == KEYS | {"code"}
    assert (entry["sequence"], entry["queue"], entry["outcome"], entry["code"]) == (
        1,
        "security",
        "refused",
        "forbidden",
    )
    assert entry["details"] == {"version": 3}
    assert datetime.fromisoformat(entry["timestamp"]).tzinfo is not None


def test_an_entry_of_a_success_has_no_code(leave: Leave, auditor: User) -> None:
    leave()
    move_entries()
    assert set(listed(auditor)["entries"][0]) == KEYS


def test_the_newest_comes_first(leave: Leave, auditor: User) -> None:
    for second in (10, 30, 20):
        leave(timestamp=float(second), request_id=str(second))
    move_entries()
    assert requests_of(auditor) == ["30", "20", "10"]


@pytest.mark.parametrize(
    ("filters", "found"),
    [
        ({"queue": "data"}, ["write", "read"]),
        ({"queue": "system"}, ["start"]),
        ({"action": "resources/write"}, ["write"]),
        ({"user": "alice"}, ["limited", "write"]),
        ({"resource": "resource://demo.local/a"}, ["write", "read"]),
        ({"outcome": "refused"}, ["limited"]),
        ({"outcome": "refused", "user": "bob"}, []),
        ({"since": "1970-01-01T00:00:20Z"}, ["limited", "start", "write"]),
        ({"until": "1970-01-01T00:00:20Z"}, ["read"]),
        ({"since": "1970-01-01T00:00:20Z", "until": "1970-01-01T02:00:30+02:00"}, ["write"]),
        ({"since": "1970-01-01T02:00:20 02:00", "queue": "data"}, ["write"]),
    ],
)
def test_filters_choose(leave: Leave, auditor: User, filters: Mapping[str, str], found: list[str]) -> None:
    uri = "resource://demo.local/a"
    leave(timestamp=10.0, request_id="read", user="bob", resource_id=uri)
    leave(timestamp=20.0, request_id="write", user="alice", action="resources/write", resource_id=uri)
    leave(timestamp=30.0, request_id="start", user="", action="system/start")
    leave(timestamp=40.0, request_id="limited", user="alice", action="resources/list", refusal=RateLimited())
    move_entries()
    before = datetime.fromtimestamp(1_000, UTC).isoformat()
    assert requests_of(auditor, **{"until": before} | dict(filters)) == found


@pytest.mark.parametrize(
    ("pattern", "found"),
    [
        ("resource://demo.local/*", ["deep", "below", "pattern"]),
        ("resource://demo.local/a/*", ["deep"]),
        ("resource://demo.local/a", ["below"]),
        ("resource://demo.local/b/*", []),
        ("resource://demo/*", []),
    ],
)
@pytest.mark.parametrize("few", [0, 5_000])
def test_a_pattern_stands_for_everything_below(
    leave: Leave, auditor: User, monkeypatch: pytest.MonkeyPatch, few: int, pattern: str, found: list[str]
) -> None:
    """By the index of URIs, and by walking the trail, as when there is much below."""
    monkeypatch.setattr(queries, "FEW", few)
    leave(timestamp=10.0, request_id="pattern", action="subscriptions/create", resource_id="resource://demo.local/*")
    leave(timestamp=20.0, request_id="below", resource_id="resource://demo.local/a")
    leave(timestamp=30.0, request_id="deep", resource_id="resource://demo.local/a/b\N{LATIN SMALL LETTER E WITH ACUTE}")
    leave(timestamp=40.0, request_id="beside", resource_id="resource://demo.local0/a")
    leave(timestamp=50.0, request_id="other", resource_id="resource://demo.local")
    move_entries()
    assert requests_of(auditor, resource=pattern) == found
    assert requests_of(auditor, resource=pattern, order="oldest") == found[::-1]
    assert requests_of(auditor, resource=pattern, since="1970-01-01T00:00:15Z", user="nobody") == []


@pytest.mark.parametrize("order", Order)
def test_pages_hold_everything_once_while_entries_arrive(leave: Leave, auditor: User, order: Order) -> None:
    leave(25, timestamp=50.0, user="alice")
    leave(20, user="alice")
    move_entries()
    seen: list[int] = []
    cursor: dict[str, str] = {}
    for _ in range(20):
        answer = listed(auditor, limit=10, order=order, user="alice", **cursor)
        seen += [entry["sequence"] for entry in answer["entries"]]
        if answer["next_cursor"] is None:
            break
        cursor = {"cursor": answer["next_cursor"]}
        # one that is newer than all, one that came late
        leave(user="alice")
        leave(user="alice", timestamp=49.0)
        move_entries()
    assert len(seen) == len(set(seen))
    assert set(seen) >= set(range(1, 46))
    places = list(AuditEntry.objects.filter(sequence__in=seen).order_by("timestamp", "sequence"))
    in_order = [entry.sequence for entry in places]
    assert seen == (in_order if order is Order.OLDEST else in_order[::-1])


def test_a_full_last_page_has_no_next(leave: Leave, auditor: User) -> None:
    leave(3)
    move_entries()
    assert listed(auditor, limit=3)["next_cursor"] is None


@pytest.mark.parametrize(
    "params",
    [
        {"limit": 0},
        {"limit": 1001},
        {"limit": "many"},
        {"queue": "other"},
        {"outcome": "maybe"},
        {"since": "yesterday"},
        {"until": "9999-12-31T23:59:59-14:00"},
        {"user": ""},
        {"order": "sideways"},
        {"since": "2026-01-02T00:00:00Z", "until": "2026-01-01T00:00:00Z"},
        {"cursor": "garbage"},
        {"cursor": "MjAyNi0wMS0wMVQwMDowMDowMA"},
        {"cursor": "MDAwMS0wMS0wMVQwMDowMDowMCsxNDowMCA1"},
    ],
)
def test_garbage_is_refused(auditor: User, params: Mapping[str, Any]) -> None:
    assert isinstance(list_as(auditor, **params).refusal, InvalidParams)


def test_the_trail_is_not_for_everybody(auditor: User) -> None:
    reader = User.objects.create_user("bob")
    reader.groups.add(Group.objects.get(name="viewer"))
    assert isinstance(list_as(reader).refusal, Forbidden)


def test_reading_the_trail_is_audited_whatever_the_setting(settings: Any, leave: Leave, auditor: User) -> None:
    settings.AUDIT_READS = "off"
    leave(3, user="alice")
    move_entries()
    listed(auditor)
    listed(auditor, user="alice", queue="data", since="2026-01-01T00:00:00Z", limit=2)
    move_entries()
    (entry, other) = AuditEntry.objects.filter(action="audit/list").order_by("sequence")
    assert (entry.user, entry.outcome, entry.resource_type) == ("auditor", "success", "audit")
    assert orjson.loads(entry.details) == {"filters": {}, "entries": 3}
    assert orjson.loads(other.details) == {
        "filters": {"queue": "data", "user": "alice", "since": "2026-01-01T00:00:00+00:00"},
        "entries": 2,
    }


def test_a_look_that_was_refused_is_audited_once(auditor: User) -> None:
    reader = User.objects.create_user("bob")
    reader.groups.add(Group.objects.get(name="viewer"))
    list_as(reader)
    list_as(auditor, limit=0)
    move_entries()
    entries = AuditEntry.objects.order_by("sequence").values_list("user", "action", "outcome", "code")
    assert list(entries) == [
        ("bob", "audit/list", "refused", "forbidden"),
        ("auditor", "audit/list", "refused", "invalid_params"),
    ]


def test_what_is_wrong_with_a_filter_is_said(auditor: User) -> None:
    refusal = list_as(auditor, since="yesterday").refusal
    assert refusal is not None
    assert list(refusal.data["errors"]) == ["since"]
