"""Work is refused rather than unaudited: when too much waits to be moved, and when an entry cannot be written."""

import time
from collections.abc import Iterator
from datetime import UTC, datetime

import pytest
from django.db import connection
from prometheus_client import REGISTRY
from pytest_django import Settings

from audit_app.database import in_database
from audit_app.models import OutboxEntry
from audit_app.mover import move_entries
from audit_app.queues import Queue
from audit_app.watermark import Backlog, TrailFull, Watermark, admit, read_backlog, waiting_by_queue, watermark
from erlmcp_site.census import Census
from erlmcp_site.readiness import audit
from resources_app.models import Resource
from sessions_app.models import TokenFamily
from telemetry_app.health import Unhealthy
from tests.audit.conftest import Leave
from tests.pipeline.calls import URI, ask, body, code, entries_of, token_of
from tests.sessions.conftest import PASSWORD, running, users
from tests.stack.waiting import eventually

__all__ = ["running", "users"]

pytestmark = pytest.mark.django_db(transaction=True, databases=["default", "audit"])


@pytest.fixture(autouse=True)
def open_watermark() -> Iterator[None]:
    yield
    watermark.take(Backlog(0, 0.0))


def fill(count: int, action: str = "resources/read", age: float = 0.0) -> None:
    """So many entries that wait, without their writer."""
    at = datetime.fromtimestamp(time.time() - age, UTC).isoformat()
    text = f'{{"timestamp":"{at}","request_id":"filled"}}'
    queue = Queue.SECURITY if action.startswith("auth/") else Queue.DATA
    OutboxEntry.objects.bulk_create([OutboxEntry(queue=queue, entry=text) for _ in range(count)], batch_size=5_000)


def test_the_backlog_is_told_by_its_ends(leave: Leave) -> None:
    assert read_backlog() == Backlog(0, 0.0)
    leave(20, timestamp=time.time() - 100)
    leave(5)
    backlog = read_backlog()
    assert backlog.pending == 25
    assert backlog.lag_seconds >= 100
    OutboxEntry.objects.filter(id__in=OutboxEntry.objects.order_by("id").values_list("id", flat=True)[:20]).delete()
    assert read_backlog().pending == 5
    assert move_entries() == 5
    assert read_backlog() == Backlog(0, 0.0)


def test_a_clock_that_was_set_back_makes_no_negative_age(leave: Leave) -> None:
    leave(timestamp=time.time() + 1_000)
    assert read_backlog() == Backlog(1, 0.0)


def test_work_is_refused_above_the_mark_and_taken_again_below_nine_tenths(settings: Settings) -> None:
    settings.AUDIT_MAX_PENDING = 1_000
    mark = Watermark()
    states = []
    for pending in (1_000, 1_001, 950, 901, 900, 1_000, 1_001):
        mark.take(Backlog(pending, 9.0))
        states.append(mark.is_full)
    assert states == [False, True, True, True, False, False, True]
    settings.AUDIT_MAX_LAG_SECONDS = 60.0
    lagging = Watermark()
    states = []
    for seconds in (60, 61, 55, 54, 61):
        lagging.take(Backlog(1, seconds))
        states.append(lagging.is_full)
    assert states == [False, True, True, False, True]


def test_a_lag_alone_refuses_nothing_by_default(settings: Settings) -> None:
    mark = Watermark()
    mark.take(Backlog(10, 1e9))
    assert not mark.is_full


@pytest.mark.parametrize("method", ["auth/login", "resources/write", "resources/read", "sessions/create", "no/such"])
def test_no_method_that_does_or_tells_something_is_admitted_above_the_mark(method: str, settings: Settings) -> None:
    admit(method)
    watermark.take(Backlog(settings.AUDIT_MAX_PENDING + 1, 0.0))
    with pytest.raises(TrailFull):
        admit(method)
    for other in ("audit/list", "audit/verify", "telemetry/snapshot"):
        admit(other)


async def test_above_the_mark_requests_are_refused_until_the_mover_has_caught_up(
    running: object, settings: Settings
) -> None:
    token, root = await token_of("alice"), await token_of("root")
    settings.AUDIT_MAX_PENDING = 1_000
    await in_database(fill, 1_100)
    await eventually(lambda: watermark.is_full, 30, "a look at the outbox")
    for method, params, bearer in (
        ("auth/login", {"username": "alice", "password": PASSWORD}, None),
        ("resources/write", {"uri": URI, "content": 1}, token),
        ("resources/list", {}, token),
    ):
        reply = await ask(method, params, bearer)
        assert code(reply) == "unavailable"
        assert reply.refusal is not None and (reply.refusal.retry_after or 0) >= 1
        assert await entries_of(reply) == []
    assert code(await ask("audit/list", {}, root)) is None
    with pytest.raises(Unhealthy):
        await audit()
    await in_database(OutboxEntry.objects.all().delete)
    await eventually(lambda: not watermark.is_full, 30, "another look at the outbox")
    assert "waiting" in await audit()
    assert body(await ask("resources/write", {"uri": URI, "content": 1}, token))["version"] == 1


async def test_what_cannot_be_recorded_is_not_done(running: object) -> None:
    """The main database takes rows, but no entries: security-class methods answer 503 like all others (quality 21)."""
    token = await token_of("alice")
    families = await in_database(TokenFamily.objects.count)
    await in_database(refuse_entries)
    try:
        for method, params, bearer in (
            ("auth/login", {"username": "alice", "password": PASSWORD}, None),
            ("auth/login", {"username": "alice", "password": "wrong"}, None),
            ("sessions/create", {}, token),
            ("resources/write", {"uri": URI, "content": 1}, token),
            ("resources/list", {}, token),
            ("no/such", {}, token),
        ):
            reply = await ask(method, params, bearer)
            assert code(reply) == "unavailable", method
        assert await in_database(TokenFamily.objects.count) == families
        assert not await in_database(Resource.objects.exists)
    finally:
        await in_database(take_entries)
    assert body(await ask("resources/write", {"uri": URI, "content": 1}, token))["version"] == 1
    assert await in_database(TokenFamily.objects.count) == families


async def test_what_waits_is_counted_while_nobody_moves_it() -> None:
    """The metrics come from the main database, whatever becomes of Celery."""
    await in_database(fill, 7, "auth/login", 90.0)
    await in_database(fill, 5)
    await Census().take()
    assert (metric("pending", "security"), metric("pending", "data"), metric("pending", "system")) == (7, 5, 0)
    assert metric("lag_seconds", "security") >= 89
    assert metric("lag_seconds", "data") < 60
    assert metric("lag_seconds", "system") == 0


def test_of_many_that_wait_the_shares_are_estimated() -> None:
    fill(12_000, "auth/login", age=500.0)
    fill(13_000)
    waiting = waiting_by_queue()
    assert waiting[Queue.SECURITY].pending + waiting[Queue.DATA].pending == 25_000
    assert waiting[Queue.SECURITY].pending == pytest.approx(12_500, rel=0.1)
    assert waiting[Queue.SECURITY].lag_seconds >= 499
    assert waiting[Queue.DATA].lag_seconds < 400
    assert waiting[Queue.SYSTEM] == Backlog(0, 0.0)


def metric(name: str, queue: str) -> float:
    value = REGISTRY.get_sample_value(f"erlmcp_audit_{name}", {"queue": queue})
    assert value is not None
    return value


def refuse_entries() -> None:
    if connection.vendor == "postgresql":
        execute("ALTER TABLE audit_app_outboxentry ADD CONSTRAINT no_entries CHECK (false) NOT VALID")
    else:
        execute("CREATE TRIGGER no_entries BEFORE INSERT ON audit_app_outboxentry BEGIN SELECT RAISE(ABORT, 'no'); END")


def take_entries() -> None:
    if connection.vendor == "postgresql":
        execute("ALTER TABLE audit_app_outboxentry DROP CONSTRAINT no_entries")
    else:
        execute("DROP TRIGGER no_entries")


def execute(statement: str) -> None:
    with connection.cursor() as cursor:
        cursor.execute(statement)
