"""What operators see of sinks and do to them, in the admin, on the command line and in metrics."""

import asyncio
import logging
import threading
from collections.abc import Iterator
from io import StringIO
from typing import Any

import pytest
from django.conf import settings
from django.contrib.auth.models import Permission, User
from django.core.management import CommandError, call_command
from django.db import connections
from django.test import Client
from django.urls import reverse
from prometheus_client import REGISTRY

from audit_app.models import DeadLetter, OutboxEntry, Sink
from audit_app.sinks.configuration import parse_sinks
from audit_app.sinks.follower import deliver
from audit_app.sinks.state import take_lease
from audit_app.tasks import deliver_to_sink
from audit_app.writer import writer
from erlmcp_site.census import Census
from tests.audit.receivers import HOST, Answer, WebReceiver
from tests.audit.trails import Clock, add_entries
from tests.stack.outbox import entries

pytestmark = pytest.mark.django_db(transaction=True, databases=["default", "audit"])

LIST = reverse("admin:audit_app_sink_changelist")


@pytest.fixture
def receiver() -> Iterator[WebReceiver]:
    server = WebReceiver()
    yield server
    server.close()


@pytest.fixture
def siem(receiver: WebReceiver, settings: Any) -> str:
    """The name of a sink that the settings name."""
    url = f"http://{HOST}:{receiver.port}/?name=siem&token=canary&secret=canary&timeout=1"
    settings.AUDIT_SINKS = parse_sinks([url])
    return "siem"


@pytest.fixture
def browser() -> Client:
    client = Client(REMOTE_ADDR="192.0.2.7")
    client.force_login(User.objects.create_superuser("admin"))
    return client


def sink() -> Sink:
    return Sink.objects.get(name="siem")


def told(*arguments: str) -> str:
    out = StringIO()
    call_command("audit", "sinks", *arguments, stdout=out)
    return out.getvalue()


def act(browser: Client, action: str) -> None:
    assert browser.post(LIST, {"action": action, "_selected_action": ["siem"]}).status_code == 302


def change_page() -> str:
    return reverse("admin:audit_app_sink_change", args=["siem"])


def test_the_task_of_a_sink_that_is_not_configured_any_more_does_nothing(siem: str, receiver: WebReceiver) -> None:
    add_entries(3)
    assert deliver_to_sink("gone") == 0
    assert deliver_to_sink("siem") == 3
    assert receiver.sequences == [1, 2, 3]


def test_a_paused_sink_goes_on_where_it_stopped(siem: str, receiver: WebReceiver, browser: Client) -> None:
    add_entries(3)
    deliver_to_sink("siem")
    act(browser, "pause")
    add_entries(2)
    assert deliver_to_sink("siem") == 0
    assert "paused" in browser.get(LIST).content.decode()
    act(browser, "resume")
    assert deliver_to_sink("siem") == 2
    assert receiver.sequences == [1, 2, 3, 4, 5]
    paused, resumed = entries("audit/sinks")
    assert (paused["user"], paused["source_ip"], paused["resource_type"]) == ("admin", "192.0.2.7", "sink")
    assert (paused["resource_id"], paused["details"], resumed["details"]) == (
        "siem",
        {"change": "paused", "changes": {"paused": [False, True]}},
        {"change": "resumed", "changes": {"paused": [True, False]}},
    )


def test_a_sink_that_is_paused_while_it_delivers_stops_after_the_batch(siem: str, receiver: WebReceiver) -> None:
    add_entries(1_500)

    def pause_it(posted: Any) -> Answer:
        Sink.objects.filter(name="siem").update(paused=True)
        return Answer()

    receiver.answer = pause_it
    assert deliver_to_sink("siem") == 500
    assert sink().cursor == 500


def test_replaying_delivers_again_and_gives_dead_letters_another_chance(
    siem: str, receiver: WebReceiver, browser: Client
) -> None:
    add_entries(5)
    receiver.answer = lambda posted: Answer(422) if 3 in posted.sequences else Answer()
    deliver_to_sink("siem")
    assert DeadLetter.objects.count() == 1
    receiver.answer = lambda posted: Answer()
    before = {posted.headers["webhook-id"] for posted in receiver.taken}
    receiver.taken.clear()
    assert browser.post(change_page(), {"first": "2"}).status_code == 302
    assert not DeadLetter.objects.exists()
    assert deliver_to_sink("siem") == 4
    assert receiver.sequences == [2, 3, 4, 5]
    assert not before & {posted.headers["webhook-id"] for posted in receiver.taken}, "a receiver would drop it"
    assert entries("audit/sinks")[-1]["details"] == {"change": "replayed", "first": 2, "changes": {"cursor": [5, 1]}}


def test_a_replay_wins_over_a_worker_that_is_delivering(siem: str, receiver: WebReceiver) -> None:
    add_entries(500)
    told("replay", "siem", "--from", "1")

    def replay_it(posted: Any) -> Answer:
        receiver.answer = lambda posted: Answer()
        told("replay", "siem", "--from", "401")
        return Answer()

    receiver.answer = replay_it
    deliver(settings.AUDIT_SINKS["siem"], Clock(), 60)
    assert sink().cursor == 400
    receiver.taken.clear()
    assert deliver_to_sink("siem") == 100


@pytest.mark.parametrize("first", ["7", "0", "-1", "many", str(2**64)])
def test_nothing_is_replayed_from_where_the_trail_has_nothing(siem: str, browser: Client, first: str) -> None:
    add_entries(5)
    deliver_to_sink("siem")
    assert browser.post(change_page(), {"first": first}).status_code == 200
    with pytest.raises(CommandError):
        told("replay", "siem", "--from", first)
    assert (sink().cursor, sink().replays) == (5, 0)
    assert entries("audit/sinks") == []


def test_nothing_is_done_that_leaves_no_entry(siem: str, browser: Client) -> None:
    add_entries(5)
    deliver_to_sink("siem")
    with connections["default"].cursor() as cursor:
        cursor.execute("ALTER TABLE audit_app_outboxentry RENAME TO elsewhere")
    try:
        act(browser, "pause")
        answer = browser.post(change_page(), {"first": "1"})
        assert answer.status_code == 200
        assert answer.context["adminform"].form.errors["first"]
        for arguments in (("pause", "siem"), ("resume", "siem"), ("replay", "siem", "--from", "1")):
            with pytest.raises(CommandError):
                told(*arguments)
    finally:
        writer.close()
        with connections["default"].cursor() as cursor:
            cursor.execute("ALTER TABLE elsewhere RENAME TO audit_app_outboxentry")
    assert (sink().paused, sink().cursor, sink().replays) == (False, 5, 0)


def test_an_empty_form_changes_nothing(siem: str, browser: Client) -> None:
    add_entries(5)
    deliver_to_sink("siem")
    assert browser.post(change_page(), {"first": ""}).status_code == 302
    assert (sink().cursor, sink().replays, entries("audit/sinks")) == (5, 0, [])


def test_who_may_only_read_the_trail_may_not_steer_sinks(siem: str, receiver: WebReceiver) -> None:
    add_entries(5)
    receiver.answer = lambda posted: Answer(400)
    deliver_to_sink("siem")
    reader = User.objects.create_user("reader", is_staff=True)
    reader.user_permissions.add(Permission.objects.get(codename="read_audit"))
    client = Client()
    client.force_login(reader)
    assert client.get(LIST).status_code == 200
    shown = client.get(change_page())
    assert shown.status_code == 200
    assert 'name="first"' not in shown.content.decode()
    client.post(LIST, {"action": "pause", "_selected_action": ["siem"]})
    assert client.post(change_page(), {"first": "1"}).status_code == 403
    assert (sink().paused, sink().cursor, entries("audit/sinks")) == (False, 5, [])
    letters = client.get(reverse("admin:audit_app_deadletter_changelist"))
    assert "HTTP 400" in letters.content.decode()


def test_nobody_sees_a_secret(
    siem: str, receiver: WebReceiver, browser: Client, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    add_entries(1)
    receiver.answer = lambda posted: Answer(500, b"<script>alert(1)</script>")
    deliver_to_sink("siem")
    assert "HTTP 500" in caplog.text
    assert "canary" not in caplog.text
    for shown in (browser.get(LIST).content.decode(), browser.get(change_page()).content.decode(), told("list")):
        assert "HTTP 500" in shown
        assert "canary" not in shown
    assert "<script>alert" not in browser.get(LIST).content.decode()
    assert "canary" not in repr(settings.AUDIT_SINKS)


def test_the_command_shows_and_steers(siem: str, receiver: WebReceiver) -> None:
    add_entries(3)
    assert "0       3" in told("list")
    told("pause", "siem")
    assert deliver_to_sink("siem") == 0
    assert "paused" in told("list")
    told("resume", "siem")
    assert deliver_to_sink("siem") == 3
    assert "delivers" in told("list")
    told("replay", "siem", "--from", "4")
    assert [entry["transport"] for entry in entries("audit/sinks")] == ["system"] * 3
    with pytest.raises(CommandError, match="no sink nobody"):
        told("pause", "nobody")


def test_the_command_needs_no_settings_to_show_and_steer_what_has_delivered(siem: str, settings: Any) -> None:
    """As in another terminal than the one that serves, or after a sink was renamed."""
    add_entries(3)
    deliver_to_sink("siem")
    settings.AUDIT_SINKS = {}
    assert "not in AUDIT_SINKS here" in told("list")
    assert "paused" in told("pause", "siem")
    assert sink().paused


def test_a_receiver_that_holds_a_thread_longer_than_its_lease_gets_no_second_one(
    siem: str, receiver: WebReceiver
) -> None:
    add_entries(1)
    is_asked = threading.Event()

    def hang(posted: Any) -> Answer:
        is_asked.set()
        return Answer(hangs=True)

    def work() -> None:
        try:
            deliver_to_sink("siem")
        finally:
            connections.close_all()

    receiver.answer = hang
    held = threading.Thread(target=work)
    held.start()
    assert is_asked.wait(60)
    Sink.objects.update(holder="", leased_at=None)
    assert deliver_to_sink("siem") == 0
    assert len(receiver.posted) == 1
    held.join(60)
    receiver.answer = lambda posted: Answer()
    Sink.objects.update(failed_at=None)
    assert deliver_to_sink("siem") == 1


@pytest.mark.parametrize("model", ["sink", "deadletter"])
def test_whoever_looks_at_a_page_of_sinks_leaves_an_entry(siem: str, browser: Client, model: str) -> None:
    OutboxEntry.objects.all().delete()
    assert browser.get(reverse(f"admin:audit_app_{model}_changelist")).status_code == 200
    assert [(entry["action"], entry["resource_type"]) for entry in entries()] == [("audit/list", model)]


def test_resuming_ends_a_rest(siem: str, receiver: WebReceiver) -> None:
    add_entries(1)
    receiver.answer = lambda posted: Answer(429, headers={"Retry-After": "3000"})
    deliver_to_sink("siem")
    receiver.answer = lambda posted: Answer()
    assert deliver_to_sink("siem") == 0
    assert "rests" in told("list")
    told("resume", "siem")
    assert deliver_to_sink("siem") == 1


def test_the_log_has_a_line_when_a_receiver_goes_and_one_when_it_is_back(
    siem: str, receiver: WebReceiver, caplog: pytest.LogCaptureFixture
) -> None:
    add_entries(2)
    clock = Clock()
    receiver.answer = lambda posted: Answer(503, b"a\r\nforged line")
    for _ in range(3):
        deliver(settings.AUDIT_SINKS["siem"], clock)
        clock.step(60)
    receiver.answer = lambda posted: Answer(400, b"b\r\nforged line") if 2 in posted.sequences else Answer()
    deliver(settings.AUDIT_SINKS["siem"], clock)
    gone, back, dead = [record.getMessage() for record in caplog.records if record.name.startswith("audit_app")]
    assert gone.startswith("the receiver of sink siem is not available, entries wait in the trail meanwhile")
    assert back == "the receiver of sink siem takes entries again, after 3 failures"
    assert dead.startswith("sink siem: entry 2 became a dead letter")
    assert not any("\n" in line or "\r" in line for line in (gone, back, dead))


def test_metrics_tell_the_lag_of_each_sink(siem: str, receiver: WebReceiver) -> None:
    receiver.answer = lambda posted: Answer(400) if 2 in posted.sequences else Answer()
    add_entries(4)
    deliver_to_sink("siem")
    add_entries(3)
    asyncio.run(Census().take())
    assert measured("erlmcp_sink_lag_entries") == 3
    assert measured("erlmcp_sink_lag_seconds") >= 0
    assert measured("erlmcp_sink_delivered_entries") == 3
    assert measured("erlmcp_sink_dead_letters") == 1
    assert measured("erlmcp_sink_failures") == 0


def test_a_lease_that_is_held_is_nobodys_state(siem: str) -> None:
    take_lease("siem")
    assert "delivers" in told("list")


def measured(name: str) -> float:
    value = REGISTRY.get_sample_value(name, {"sink": "siem"})
    assert value is not None
    return value
