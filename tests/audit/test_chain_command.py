"""`manage.py audit verify` and `audit checkpoint`: what an operator types, and what a script gets."""

import sys
from io import StringIO
from pathlib import Path
from typing import Any

import orjson
import pytest
from django.core.management import CommandError, call_command
from django.db import connections
from pytest_django import Settings

from audit_app.chain.archiving import leave_to_archive
from audit_app.chain.keys import local_signer
from audit_app.models import AuditEntry, Checkpoint
from audit_app.mover import move_entries
from tests.audit.conftest import Leave

pytestmark = pytest.mark.django_db(transaction=True, databases=["default", "audit"])


def audit(*arguments: str) -> tuple[int, str]:
    """The exit status and what was written."""
    written = StringIO()
    try:
        call_command("audit", *arguments, stdout=written)
    except SystemExit as end:
        return int(str(end.code)), written.getvalue()
    return 0, written.getvalue()


def verified(*arguments: str) -> tuple[int, dict[str, Any]]:
    status, written = audit("verify", "--json", *arguments)
    return status, orjson.loads(written)


def change(sequence: int) -> None:
    with connections["audit"].cursor() as cursor:
        cursor.execute("UPDATE audit_app_auditentry SET user_name = 'mallory' WHERE sequence = %s", [sequence])


@pytest.fixture
def trail(leave: Leave) -> None:
    """Three checkpoints, up to the entries 10, 21 and 32, the last of them told of by entry 33."""
    for _ in range(3):
        leave(10)
        audit("checkpoint")
    move_entries()


def test_an_empty_trail_is_in_order() -> None:
    status, found = verified()
    assert (status, found["ok"], found["entries"], found["checkpoints"]) == (0, True, 0, 0)


def test_a_trail_in_order_is_counted(trail: None) -> None:
    status, found = verified()
    (source,) = found.pop("keys").values()
    assert (status, source) == (0, "file")
    assert found == {
        "ok": True,
        "first": 1,
        "last": 33,
        "entries": 33,
        "checkpoints": 3,
        "unsigned": 1,
        "archived": 0,
    }
    status, text = audit("verify")
    assert status == 0
    assert text.startswith("33 entries in order, 1 to 33; 3 checkpoints; 1 not signed yet; key ")


def test_the_first_bent_entry_is_named(trail: None) -> None:
    change(17)
    change(12)
    status, found = verified()
    assert (status, found["ok"], found["sequence"], found["kind"], found["entries"]) == (1, False, 12, "changed", 11)
    assert audit("verify") == (1, "BENT at 12: the entry is not what its hash says (changed)\n")


def test_a_part_is_widened_to_whole_checkpoints(trail: None) -> None:
    change(5)
    assert verified("--from", "11")[0] == 0
    assert verified("--from", "10")[0] == 1
    status, found = verified("--from", "12", "--until", "13")
    assert (status, found["first"], found["last"], found["checkpoints"]) == (0, 11, 21, 1)
    change(30)
    assert verified("--from", "12", "--until", "21")[0] == 0
    assert verified("--from", "12", "--until", "22")[0] == 1
    assert verified("--from", "12", "--until", "1000")[0] == 1


def test_a_part_that_ends_before_it_begins_is_none(trail: None) -> None:
    with pytest.raises(CommandError) as refused:
        audit("verify", "--from", "12", "--until", "11")
    assert refused.value.returncode == 2


def test_only_what_came_since_is_verified_again(trail: None, leave: Leave) -> None:
    assert verified("--since-checkpoint")[1]["first"] == 1
    leave(5)
    audit("checkpoint")
    status, found = verified("--since-checkpoint")
    assert (status, found["first"], found["last"], found["checkpoints"]) == (0, 33, 38, 1)
    change(40)
    leave(5)
    move_entries()
    change(41)
    status, found = verified("--since-checkpoint")
    assert (status, found["first"], found["sequence"]) == (1, 39, 41)


def test_everything_is_verified_again_when_what_was_verified_is_another_checkpoint_now(trail: None) -> None:
    verified()
    with connections["audit"].cursor() as cursor:
        cursor.execute("DELETE FROM audit_app_checkpoint WHERE number = 3")
    status, found = verified("--since-checkpoint")
    assert (status, found["kind"], found["sequence"]) == (1, "checkpoint", 22)


def test_a_pinned_key_is_the_only_one_that_is_believed(trail: None, tmp_path: Path, second_place: Path) -> None:
    status, found = verified("--public-key", str(second_place.with_name("checkpoints.jsonl.keys")))
    assert (status, set(found["keys"].values())) == (0, {"pinned"})
    other = tmp_path / "other.pem"
    other.write_text(local_signer(tmp_path / "other").public_key)
    status, found = verified("--public-key", str(other))
    assert (status, found["sequence"], found["kind"]) == (1, 1, "checkpoint")
    other.write_text("garbage")
    with pytest.raises(CommandError) as failed:
        audit("verify", "--public-key", str(other))
    assert failed.value.returncode == 2


def test_a_trail_that_cannot_be_read_is_not_called_bent(trail: None) -> None:
    with connections["audit"].cursor() as cursor:
        cursor.execute("ALTER TABLE audit_app_auditentry RENAME TO elsewhere")
    try:
        with pytest.raises(CommandError) as failed:
            audit("verify")
        assert failed.value.returncode == 2
    finally:
        with connections["audit"].cursor() as cursor:
            cursor.execute("ALTER TABLE elsewhere RENAME TO audit_app_auditentry")


def test_an_operator_signs_what_waits(leave: Leave) -> None:
    leave(3)
    assert audit("checkpoint") == (0, "checkpoint 1 signs the entries 1 to 3\n")
    assert audit("checkpoint") == (0, "nothing to sign\n")
    assert Checkpoint.objects.count() == 1


def delete_up_to(sequence: int) -> None:
    with connections["audit"].cursor() as cursor:
        cursor.execute("DELETE FROM audit_app_auditentry WHERE sequence <= %s", [sequence])


def test_what_was_archived_is_not_missed(trail: None, leave: Leave) -> None:
    leave(action="audit/archive", transport="system", details=leave_to_archive(21))
    leave()
    move_entries()
    delete_up_to(10)
    status, found = verified()
    assert (status, found["first"], found["archived"], found["checkpoints"]) == (0, 11, 10, 3)
    delete_up_to(21)
    status, found = verified()
    assert (status, found["first"], found["archived"], found["entries"]) == (0, 22, 21, AuditEntry.objects.count())
    assert verified("--from", "22")[0] == 0
    delete_up_to(25)
    status, found = verified()
    assert (status, found["kind"], found["sequence"]) == (1, "missing", 1)


def test_nobody_without_the_key_gives_leave_to_archive(trail: None, leave: Leave, tmp_path: Path) -> None:
    good = leave_to_archive(10)
    for bent in (
        {},
        {"leave": 1, "signature": ""},
        {"leave": dict(good["leave"]), "signature": "00" * 64},
        {"leave": good["leave"] | {"archived_until": 21}, "signature": good["signature"]},
        {"leave": good["leave"] | {"key": "other"}, "signature": good["signature"]},
        {"leave": good["leave"], "signature": None},
    ):
        leave(action="audit/archive", transport="system", details=bent)
    move_entries()
    delete_up_to(10)
    status, found = verified()
    assert (status, found["kind"], found["sequence"]) == (1, "missing", 1)
    leave(action="audit/archive", transport="system", details=good)
    move_entries()
    assert verified()[0] == 0


def test_who_may_only_read_verifies_all_the_same(trail: None, second_place: Path) -> None:
    second_place.with_name(f"{second_place.name}.verified").mkdir()
    assert verified()[0] == 0


@pytest.mark.parametrize("arguments", [("checkpoint",), ("prove", "019af0c2"), ("archive", "--before", "2026-01-01")])
def test_a_database_that_does_not_answer_is_said_in_a_line(trail: None, arguments: tuple[str, ...]) -> None:
    with connections["audit"].cursor() as cursor:
        cursor.execute("ALTER TABLE audit_app_auditentry RENAME TO elsewhere")
    try:
        with pytest.raises(CommandError):
            audit(*arguments)
    finally:
        with connections["audit"].cursor() as cursor:
            cursor.execute("ALTER TABLE elsewhere RENAME TO audit_app_auditentry")


def test_a_key_that_cannot_sign_is_said_in_a_line(trail: None, leave: Leave, settings: Settings) -> None:
    leave()
    settings.AUDIT_SIGNING_KEY_FILE.write_text("no key")
    with pytest.raises(CommandError, match="holds no Ed25519 private key"):
        audit("checkpoint")


@pytest.mark.parametrize("id", ["", "\udcff", "x" * 10_000, "%", "' OR 1=1 --"])
def test_what_is_no_id_has_no_proof(trail: None, id: str) -> None:
    with pytest.raises(CommandError):
        audit("prove", "--", id)


def test_progress_is_shown_on_a_terminal_and_not_beside_json(trail: None, monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    verified()
    assert terminal.getvalue() == ""
    audit("verify")
    assert "33 of 33" in terminal.getvalue()


class Terminal(StringIO):
    def isatty(self) -> bool:
        return True
