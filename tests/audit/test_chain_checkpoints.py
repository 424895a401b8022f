"""Checkpoints: one for what is new, signed, in both places and told, whoever dies or runs beside."""

import stat
import threading
from collections import Counter
from pathlib import Path

import pytest
from django.core.exceptions import ImproperlyConfigured
from django.db import connections
from pytest_django import Settings

from audit_app.chain.checkpoints import sign_trail
from audit_app.chain.keys import is_signed, key_id, local_signer, parse_public_keys
from audit_app.chain.second_place import SecondPlace
from audit_app.chain.statements import parse_payload, parse_signed
from audit_app.chain.verify import verify
from audit_app.models import AuditEntry, Checkpoint, CheckpointKey, OutboxEntry, TrailIsReadOnly
from audit_app.mover import move_entries
from audit_app.redaction import parse_redaction
from audit_app.tasks import sign_trail as sign_trail_task
from tests.audit.conftest import Leave
from tests.stack.beside import run_beside

pytestmark = pytest.mark.django_db(transaction=True, databases=["default", "audit"])


def told() -> list[str]:
    return list(
        AuditEntry.objects.filter(action="audit/checkpoint").order_by("sequence").values_list("resource_id", flat=True)
    )


def numbers_in(second_place: Path) -> list[int]:
    return [parse_signed(line).statement.number for line in second_place.read_bytes().splitlines()]


def leave_and_sign(leave: Leave, count: int = 3) -> None:
    leave(count)
    move_entries()
    sign_trail()


def test_a_checkpoint_covers_what_none_covered_before(leave: Leave) -> None:
    leave(5)
    move_entries()
    first = sign_trail()
    leave(4)
    move_entries()
    second = sign_trail()
    assert first is not None and second is not None
    one, two = first.statement, second.statement
    assert (one.number, one.first, one.last, one.previous) == (1, 1, 5, "0" * 64)
    # the entry that tells of the first one lies between
    assert (two.number, two.first, two.last) == (2, 6, 10)
    assert two.head == AuditEntry.objects.get(sequence=10).hash
    assert verify().checkpoints == 2


def test_nothing_new_makes_no_checkpoint(leave: Leave) -> None:
    assert sign_trail() is None
    leave_and_sign(leave)
    move_entries()
    assert told() == ["checkpoint/1"]
    assert sign_trail() is None, "an entry that tells of a checkpoint made another one"
    assert verify().unsigned == 1


def test_the_task_makes_a_checkpoint(leave: Leave) -> None:
    leave(2)
    move_entries()
    sign_trail_task()
    assert Checkpoint.objects.count() == 1


def test_a_checkpoint_is_told_to_the_trail_and_so_to_every_sink(leave: Leave) -> None:
    leave_and_sign(leave)
    move_entries()
    entry = AuditEntry.objects.get(action="audit/checkpoint")
    assert (entry.transport, entry.resource_type, entry.resource_id) == ("system", "audit", "checkpoint/1")
    signed = parse_signed(entry.details)
    stored = Checkpoint.objects.get()
    assert (signed.statement.payload.decode(), signed.signature) == (stored.payload, stored.signature)


def test_what_is_signed_is_told_whole_whatever_is_left_out_elsewhere(leave: Leave, settings: Settings) -> None:
    settings.AUDIT_REDACT = parse_redaction("key, signature, last, /[0-9a-f]{64}/")
    leave_and_sign(leave)
    move_entries()
    parse_signed(AuditEntry.objects.get(action="audit/checkpoint").details)
    assert verify().bent is None


def test_a_checkpoint_that_nobody_was_told_of_is_told_with_the_next_one(leave: Leave) -> None:
    leave_and_sign(leave)
    OutboxEntry.objects.all().delete()
    leave_and_sign(leave)
    move_entries()
    assert told() == ["checkpoint/1", "checkpoint/2"]


def test_the_second_place_holds_what_the_database_holds(leave: Leave, second_place: Path) -> None:
    for _ in range(3):
        leave_and_sign(leave)
    lines = [parse_signed(line) for line in second_place.read_bytes().splitlines()]
    stored = Checkpoint.objects.order_by("number")
    assert [(line.statement.payload.decode(), line.signature) for line in lines] == [
        (checkpoint.payload, checkpoint.signature) for checkpoint in stored
    ]


def test_the_second_place_catches_up(leave: Leave, second_place: Path) -> None:
    leave_and_sign(leave)
    kept = second_place.read_bytes()
    for _ in range(2):
        leave_and_sign(leave)
    # as if processes had died before they wrote, or while they did
    second_place.write_bytes(kept + b'{"checkpoint":{"at"')
    assert verify().bent is None
    leave_and_sign(leave)
    assert numbers_in(second_place) == [1, 2, 3, 4]
    second_place.unlink()
    sign_trail()
    assert numbers_in(second_place) == [1, 2, 3, 4]


def test_nothing_is_added_to_a_second_place_that_disagrees(
    leave: Leave, second_place: Path, caplog: pytest.LogCaptureFixture
) -> None:
    for _ in range(2):
        leave_and_sign(leave)
    last = second_place.read_bytes().splitlines()[-1]
    second_place.write_bytes(last.replace(b'"at":"2', b'"at":"3') + b"\n")
    assert SecondPlace(second_place).follow() == 0
    assert "is not that of the audit database" in caplog.text


def test_a_second_place_that_cannot_be_written_stops_no_checkpoint(
    leave: Leave, second_place: Path, settings: Settings, caplog: pytest.LogCaptureFixture
) -> None:
    settings.AUDIT_CHECKPOINT_FILE = second_place / "in a file" / "checkpoints.jsonl"
    second_place.write_text("")
    leave_and_sign(leave)
    assert "checkpoints do not reach their second place" in caplog.text
    settings.AUDIT_CHECKPOINT_FILE = second_place
    leave_and_sign(leave)
    move_entries()
    assert numbers_in(second_place) == [1, 2]
    assert told() == ["checkpoint/1", "checkpoint/2"]


def test_of_workers_that_sign_at_the_same_time_one_makes_the_checkpoint(leave: Leave, second_place: Path) -> None:
    leave(50)
    move_entries()
    start = threading.Barrier(4)
    made: list[object] = []

    def sign() -> None:
        try:
            start.wait(30)
            made.append(sign_trail())
        except BaseException as error:
            made.append(error)
        finally:
            connections.close_all()

    workers = [threading.Thread(target=sign) for _ in range(4)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(60)
    assert [one for one in made if isinstance(one, BaseException)] == []
    assert len(made) == 4 and Checkpoint.objects.count() == sum(one is not None for one in made) == 1
    assert numbers_in(second_place) == [1]
    move_entries()
    assert told() == ["checkpoint/1"]
    assert verify().bent is None


def test_killed_signers_leave_the_chain_whole(leave: Leave, second_place: Path) -> None:
    """Each is killed at another point, while entries come; what one left, the next takes up."""
    leave(200)
    move_entries()
    endings = Counter(run_beside("tests.audit.mortal_signers", str(second_place)))
    assert set(endings) == {"killed remember", "killed _store", "killed follow", "killed tell"}
    leave_and_sign(leave)
    move_entries()
    report = verify()
    assert report.bent is None
    assert numbers_in(second_place) == list(range(1, report.checkpoints + 1))
    assert set(told()) == {f"checkpoint/{number}" for number in range(1, report.checkpoints + 1)}


def test_a_key_is_made_once_and_only_its_owner_can_read_it(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "key"
    signer = local_signer(path)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert list(path.parent.iterdir()) == [path]
    assert local_signer(path).id == signer.id
    ((id, public_key),) = parse_public_keys(signer.public_key.encode()).items()
    assert id == key_id(public_key) == signer.id
    assert is_signed(b"payload", signer.sign(b"payload"), public_key)
    assert not is_signed(b"other", signer.sign(b"payload"), public_key)
    assert not is_signed(b"payload", "not hex", public_key)


@pytest.mark.parametrize("text", [b"", b"garbage", b"-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n"])
def test_a_file_that_holds_no_key_is_named(tmp_path: Path, text: bytes) -> None:
    path = tmp_path / "key"
    path.write_bytes(text)
    with pytest.raises(ImproperlyConfigured, match=str(path)):
        local_signer(path)
    assert path.read_bytes() == text


def test_after_a_rotation_both_keys_are_known(leave: Leave, second_place: Path) -> None:
    leave_and_sign(leave)
    old = second_place.with_name("audit_signing_key")
    old.rename(second_place.with_name("old_key"))
    leave_and_sign(leave)
    used = [parse_payload(checkpoint.payload).key for checkpoint in Checkpoint.objects.order_by("number")]
    assert len(set(used)) == 2
    assert set(CheckpointKey.objects.values_list("id", flat=True)) == set(used)
    report = verify()
    assert report.bent is None and report.keys == dict.fromkeys(used, "file")
    second_place.with_name("checkpoints.jsonl.keys").unlink()
    assert verify().keys == dict.fromkeys(used, "database")


def test_checkpoints_cannot_be_changed_through_their_model(leave: Leave) -> None:
    leave_and_sign(leave)
    for change in (Checkpoint.objects.all().delete, lambda: Checkpoint.objects.update(signature="")):
        with pytest.raises(TrailIsReadOnly):
            change()
