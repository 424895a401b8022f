"""The mover takes every entry to the trail exactly once, whatever happens to it."""

import threading
from collections import Counter

import orjson
import pytest
from django.db import DatabaseError, connections, transaction

from audit_app.chain.canonical import ZEROS, record_hash
from audit_app.models import AuditEntry, OutboxEntry, TrailHead, TrailIsReadOnly, Witness
from audit_app.mover import BATCH, CALM_BATCHES, CALM_SECONDS, Moved, add_batch, delete_moved, move_batch, move_entries
from audit_app.queries import entry_json
from audit_app.tasks import move_outbox
from audit_app.trail import Queue
from sessions_app.errors import Forbidden
from tests.audit.conftest import Leave
from tests.stack.beside import run_beside

pytestmark = pytest.mark.django_db(transaction=True, databases=["default", "audit"])


def trail() -> list[tuple[int, str]]:
    return list(AuditEntry.objects.order_by("sequence").values_list("sequence", "request_id"))


def assert_moved_once(count: int) -> None:
    """Every entry is in the trail once, numbered and chained without a gap, and nothing waits."""
    moved = trail()
    assert [sequence for sequence, _ in moved] == list(range(1, count + 1))
    assert len({request for _, request in moved}) == count
    assert not OutboxEntry.objects.exists()
    hash = assert_chained()
    assert TrailHead.objects.values_list("head", "hash").get() == (count, hash)
    assert Witness.objects.values_list("sequence", "hash").get() == (count, hash)


def assert_chained() -> str:
    """Every entry names the hash of the one before, and anybody can make its hash again. Returns the last one."""
    last = ZEROS
    for entry in AuditEntry.objects.order_by("sequence"):
        record = orjson.loads(orjson.dumps(entry_json(entry), option=orjson.OPT_UTC_Z))
        assert (record["prev_hash"], record["hash"]) == (last, record_hash(record)), record
        last = record["hash"]
    return last


def add_only() -> Moved:
    """The first half of a mover's work; the locks that it had on the outbox are gone, as when it was killed."""
    with transaction.atomic():
        return add_batch()


def test_entries_are_moved_in_their_order(leave: Leave) -> None:
    leave(2 * BATCH + 3)
    waiting = [
        orjson.loads(text)["request_id"] for text in OutboxEntry.objects.order_by("id").values_list("entry", flat=True)
    ]
    assert move_entries() == 2 * BATCH + 3
    assert [request for _, request in trail()] == waiting
    assert_moved_once(2 * BATCH + 3)


def test_a_repeated_task_adds_nothing(leave: Leave) -> None:
    leave(10)
    assert move_outbox() == 10
    assert move_outbox() == 0
    assert_moved_once(10)


def test_numbers_go_on_where_they_ended(leave: Leave) -> None:
    leave(3)
    move_entries()
    leave(4, request_id="later")
    move_entries()
    assert [sequence for sequence, _ in trail()] == [1, 2, 3, 4, 5, 6, 7]


def test_one_run_is_bounded(leave: Leave) -> None:
    leave(BATCH + 1)
    assert move_entries(batches=1) == BATCH
    assert OutboxEntry.objects.count() == 1


def test_it_leaves_others_half_of_the_processor_and_hurries_when_it_is_behind(
    leave: Leave, monkeypatch: pytest.MonkeyPatch
) -> None:
    rests: list[float] = []
    monkeypatch.setattr("audit_app.mover.time.sleep", rests.append)
    leave((CALM_BATCHES + 3) * BATCH)
    assert move_entries() == (CALM_BATCHES + 3) * BATCH
    assert len(rests) == CALM_BATCHES and all(0 < rest <= CALM_SECONDS for rest in rests)


def test_a_mover_that_died_before_it_deleted_leaves_no_duplicate(leave: Leave) -> None:
    leave(BATCH + 10)
    moved = add_only()
    assert (len(moved.waiting), moved.added) == (BATCH, BATCH)
    assert OutboxEntry.objects.count() == BATCH + 10
    assert move_entries() == 10
    assert_moved_once(BATCH + 10)


def test_a_slow_mover_deletes_only_what_it_has_read(leave: Leave) -> None:
    leave(10)
    moved = add_only()
    move_entries()
    leave(5, request_id="later")
    delete_moved(moved)
    assert OutboxEntry.objects.count() == 5


def test_a_slow_mover_does_not_set_the_witness_back(leave: Leave) -> None:
    leave(10)
    moved = add_only()
    leave(5, request_id="later")
    move_entries()
    delete_moved(moved)
    assert Witness.objects.get().sequence == 15


def test_the_witness_is_behind_a_mover_that_died_and_then_catches_up(leave: Leave) -> None:
    leave(10)
    add_only()
    assert not Witness.objects.exists()
    assert move_entries() == 0
    assert_moved_once(10)


def test_an_entry_that_waits_twice_is_added_once(leave: Leave) -> None:
    leave(3)
    first = OutboxEntry.objects.order_by("id").values_list("queue", "entry")[0]
    OutboxEntry.objects.create(queue=first[0], entry=first[1])
    assert move_entries() == 3
    assert_moved_once(3)


def test_an_interrupted_transaction_takes_no_number(leave: Leave) -> None:
    leave(5)
    with connections["audit"].cursor() as cursor:
        cursor.execute("ALTER TABLE audit_app_auditentry RENAME TO elsewhere")
    try:
        with pytest.raises(DatabaseError):
            move_entries()
        assert OutboxEntry.objects.count() == 5
    finally:
        with connections["audit"].cursor() as cursor:
            cursor.execute("ALTER TABLE elsewhere RENAME TO audit_app_auditentry")
    assert move_entries() == 5
    assert_moved_once(5)


def test_movers_side_by_side_add_each_entry_once(leave: Leave) -> None:
    leave(6_000)
    failures: list[BaseException] = []

    def move() -> None:
        try:
            while OutboxEntry.objects.exists():
                move_batch()
        except BaseException as error:
            failures.append(error)
        finally:
            connections.close_all()

    movers = [threading.Thread(target=move) for _ in range(4)]
    for mover in movers:
        mover.start()
    for mover in movers:
        mover.join(60)
    assert failures == []
    assert_moved_once(6_000)


def test_killed_movers_lose_and_repeat_nothing(leave: Leave) -> None:
    """Twenty of them, each killed at a point of its first or second batch (quality 7)."""
    leave(15_000)
    endings = Counter(run_beside("tests.audit.mortal_movers", "5"))
    assert endings == {f"killed {point}": 5 for point in ("_append", "add_batch", "delete_moved", "move_batch")}
    assert 0 < OutboxEntry.objects.count() < 15_000, "the killed ones did all of the work, or none"
    move_entries()
    assert_moved_once(15_000)


def test_an_entry_keeps_what_was_said(leave: Leave) -> None:
    leave(
        action="resources/write",
        transport="websocket",
        timestamp=1_800_000_000.25,
        user_id="7",
        user="alice",
        resource_type="resource",
        resource_id="resource://demo.local/ä",
        source_ip="192.0.2.1",
        user_agent="curl/8",
        session_id="s",
        request_id="r",
        refusal=Forbidden(),
        details={"z": 1, "a": [None, "\0", 1.0]},
    )
    move_entries()
    entry = AuditEntry.objects.get()
    assert (entry.user_id, entry.user, entry.action, entry.transport) == ("7", "alice", "resources/write", "websocket")
    assert (entry.outcome, entry.code, entry.queue) == ("refused", "forbidden", Queue.SECURITY)
    assert (entry.resource_type, entry.resource_id) == ("resource", "resource://demo.local/ä")
    assert (entry.source_ip, entry.user_agent, entry.session_id, entry.request_id) == ("192.0.2.1", "curl/8", "s", "r")
    assert entry.timestamp.timestamp() == 1_800_000_000.25
    assert entry.details == '{"a":[null,"\\u0000",1],"z":1}'
    assert_chained()


@pytest.mark.parametrize("text", ["x" * 1_000_000, "ä" * 5_000, "a\0b" * 2_000, "\r\n{}'\";--"])
def test_what_clients_send_cannot_stop_the_mover(leave: Leave, text: str) -> None:
    leave(action=text, user=text, resource_id=text, user_agent=text, request_id=text, source_ip=text)
    leave(request_id="next")
    assert move_entries() == 2
    entry = AuditEntry.objects.get(sequence=1)
    for name, limit in (("action", 255), ("resource_id", 2048), ("user_agent", 2048), ("request_id", 255)):
        kept = getattr(entry, name)
        assert len(kept.encode()) <= limit
        assert kept.removesuffix("…") == text.replace("\0", "\N{REPLACEMENT CHARACTER}")[: len(kept.removesuffix("…"))]
    assert entry.user_agent == text or entry.user_agent.endswith("…")


def test_the_trail_cannot_be_changed_through_its_model(leave: Leave) -> None:
    leave()
    move_entries()
    entry = AuditEntry.objects.get()
    for change in (
        entry.save,
        entry.delete,
        AuditEntry.objects.all().delete,
        lambda: AuditEntry.objects.update(user="mallory"),
        lambda: AuditEntry.objects.create(id="x"),
        lambda: AuditEntry.objects.bulk_create([entry]),
        lambda: AuditEntry.objects.bulk_update([entry], ["user"]),
    ):
        with pytest.raises(TrailIsReadOnly):
            change()
    assert AuditEntry.objects.get().user == ""
