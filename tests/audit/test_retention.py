"""Old entries leave the trail for archives that anybody can check, and what stays is still in order."""

import gzip
import io
import os
import random
import re
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import orjson
import pytest
from django.core.management import CommandError, call_command
from django.db import connections
from pytest_django import Settings

from audit_app import retention
from audit_app.archives import Span, check_archive
from audit_app.chain.bending import Bent
from audit_app.chain.checkpoints import sign_trail
from audit_app.chain.verify import verify
from audit_app.models import AuditEntry, Checkpoint, Sink
from audit_app.mover import move_entries
from audit_app.retention import ArchiveFailed, archivable, archive_old, prepare
from audit_app.sinks.configuration import parse_sinks
from audit_app.tasks import archive_trail
from tests.audit.conftest import Leave
from tests.stack.beside import run_beside

pytestmark = pytest.mark.django_db(transaction=True, databases=["default", "audit"])

LATER = datetime.now(UTC) + timedelta(days=1)
CHECKPOINTS = 4


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "archive"


@pytest.fixture
def ends(leave: Leave, dice: random.Random) -> list[int]:
    """A trail with checkpoints, and behind them entries that nobody has signed; where each checkpoint ends."""
    found = []
    for _ in range(CHECKPOINTS):
        leave(dice.randint(3, 20), user="alice", details={"n": 1.5, "text": "a\r\n\u2028ä"})
        move_entries()
        signed = sign_trail()
        assert signed is not None
        found.append(signed.statement.last)
    leave(3)
    move_entries()
    return found


def records() -> list[Any]:
    """(sequence, hash) of everything that the trail has."""
    return list(AuditEntry.objects.order_by("sequence").values_list("sequence", "hash"))


def archived(folder: Path) -> list[Any]:
    """The same of everything that the archives have."""
    spans = [(Span.of(path.name), path) for path in folder.iterdir()]
    files = sorted((span.first, path) for span, path in spans if span is not None)
    lines = [line for _, path in files for line in gzip.decompress(path.read_bytes()).splitlines()]
    return [(record["sequence"], record["hash"]) for record in map(orjson.loads, lines)]


def archive(before: datetime, folder: Path) -> list[str]:
    return [each.path.name for each in archive_old(before, folder)]


def assert_in_order() -> None:
    report = verify()
    assert report.bent is None, report.bent


def told() -> list[dict[str, Any]]:
    move_entries()
    rows = AuditEntry.objects.filter(action="audit/archive").order_by("sequence")
    return [orjson.loads(row.details) for row in rows]


def moments() -> list[datetime]:
    """When each checkpoint was made."""
    payloads = Checkpoint.objects.order_by("number").values_list("payload", flat=True)
    return [datetime.fromisoformat(orjson.loads(payload)["at"]) for payload in payloads]


def test_whole_checkpoints_leave_and_the_rest_is_in_order(ends: list[int], folder: Path) -> None:
    before = records()
    assert archive(moments()[2], folder) == [f"trail-1-{ends[1]}.jsonl.gz"]
    assert archived(folder) == before[: ends[1]]
    assert records()[: len(before) - ends[1]] == before[ends[1] :]
    assert Checkpoint.objects.count() == CHECKPOINTS
    report = verify()
    assert (report.bent, report.archived, report.first) == (None, ends[1], ends[1] + 1)
    checked = check_archive(folder / f"trail-1-{ends[1]}.jsonl.gz")
    assert (checked.span, checked.checkpoints) == (Span(1, ends[1]), 2)
    (details,) = told()
    assert (details["first"], details["leave"]["archived_until"], details["entries"]) == (1, ends[1], ends[1])
    assert Path(details["file"]) == folder / f"trail-1-{ends[1]}.jsonl.gz"


def test_what_comes_next_goes_on_where_the_last_archive_ended(ends: list[int], folder: Path, leave: Leave) -> None:
    archive(moments()[1], folder)
    archive(moments()[3], folder)
    leave(5)
    move_entries()
    assert_in_order()
    sign_trail()
    move_entries()
    last = Checkpoint.objects.latest("number").last
    assert archive(LATER, folder) == [f"trail-{ends[2] + 1}-{last}.jsonl.gz"]
    assert_in_order()
    assert [sequence for sequence, _ in archived(folder)] == list(range(1, last + 1))
    assert archive(LATER, folder) == []


def test_large_spans_are_parted_at_checkpoints(ends: list[int], folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retention, "MOST_ENTRIES", 1)
    starts = [1, *[end + 1 for end in ends[:-1]]]
    names = [f"trail-{first}-{last}.jsonl.gz" for first, last in zip(starts, ends, strict=True)]
    assert archive(LATER, folder)[:CHECKPOINTS] == names
    assert_in_order()


def test_what_a_sink_still_has_to_deliver_stays(ends: list[int], settings: Settings) -> None:
    settings.AUDIT_SINKS = parse_sinks(["file:///tmp/a.jsonl?name=one", "file:///tmp/b.jsonl?name=two"])
    Sink.objects.create(name="two", cursor=ends[3])
    assert list(archivable(LATER)) == []
    Sink.objects.create(name="one", cursor=ends[1] + 1)
    Sink.objects.create(name="of old settings", cursor=0)
    assert list(archivable(LATER)) == [Span(1, ends[1])]


def test_what_was_bent_is_not_archived(ends: list[int], folder: Path) -> None:
    with connections["audit"].cursor() as cursor:
        cursor.execute("UPDATE audit_app_auditentry SET user_name = 'mallory' WHERE sequence = 2")
    before = records()
    with pytest.raises(ArchiveFailed, match="from entry 2 on"):
        archive(LATER, folder)
    assert records() == before
    assert archived(folder) == []
    assert told() == []


@pytest.mark.parametrize("point", range(7))
def test_killed_at_any_point_it_loses_nothing_and_the_next_one_finishes(
    ends: list[int], folder: Path, second_place: Path, monkeypatch: pytest.MonkeyPatch, point: int
) -> None:
    before = records()
    monkeypatch.setenv("AUDIT_CHECKPOINT_FILE", str(second_place))
    monkeypatch.setenv("AUDIT_SIGNING_KEY_FILE", str(second_place.with_name("audit_signing_key")))
    (said,) = run_beside("tests.audit.mortal_archivers", str(folder), moments()[3].isoformat(), str(point))
    assert said.startswith("killed")
    kept = records()
    assert set(before) <= {*kept, *archived(folder)}
    assert_in_order()
    archive(moments()[3], folder)
    assert_in_order()
    assert archived(folder) == before[: ends[2]]
    assert records()[0] == before[ends[2]]
    assert {details["leave"]["archived_until"] for details in told()} == {ends[2]}
    assert not list(folder.glob("*.part"))


def test_an_archive_that_was_begun_and_is_gone_is_asked_for(ends: list[int], folder: Path) -> None:
    """Its entries may be deleted in part, so nothing else could be made of it."""
    span = next(archivable(moments()[2]))
    folder.mkdir()
    prepared = retention.prepare(span, folder)
    retention.tell(prepared, {})
    prepared.path.rename(folder / "elsewhere")
    before = records()
    with pytest.raises(OSError, match=r"jsonl\.gz"):
        archive(LATER, folder)
    assert records() == before
    (folder / "elsewhere").rename(prepared.path)
    archive(LATER, folder)
    assert_in_order()


@pytest.mark.parametrize("kind", ["changed", "missing", "surplus", "swapped", "cut", "garbage", "added"])
def test_whoever_bends_an_archive_is_found(ends: list[int], folder: Path, dice: random.Random, kind: str) -> None:
    archive(moments()[2], folder)
    path = folder / f"trail-1-{ends[1]}.jsonl.gz"
    lines = gzip.decompress(path.read_bytes()).splitlines(keepends=True)
    at = dice.randrange(len(lines) - 1)
    match kind:
        case "changed":
            lines[at] = lines[at].replace(b'"transport":"', b'"transport":"x', 1)
        case "missing":
            del lines[at]
        case "surplus":
            lines.insert(at, lines[at])
        case "swapped":
            lines[at], lines[at + 1] = lines[at + 1], lines[at]
        case "cut":
            at = len(lines) - 1
            del lines[at]
        case "garbage":
            lines[at] = b"garbage\n"
        case "added":
            lines[at] = lines[at].replace(b"{", b'{"more":1,', 1)
    path.write_bytes(gzip.compress(b"".join(lines)))
    with pytest.raises(Bent) as found:
        check_archive(path)
    # of two alike, or of an entry of nobody, the second is the one that is not in order
    assert found.value.sequence in {at + 1, at + 2}


@pytest.mark.parametrize("value", [b"[]", b'{"a":' * 1_000 + b"1" + b"}" * 1_000])
@pytest.mark.parametrize("pattern", [rb'(?<="queue":)"[a-z]+"', rb'(?<="details":)\{[^}]*\}'])
def test_values_that_no_entry_has_are_changes_like_others(
    ends: list[int], folder: Path, pattern: bytes, value: bytes
) -> None:
    archive(moments()[2], folder)
    path = folder / f"trail-1-{ends[1]}.jsonl.gz"
    path.write_bytes(gzip.compress(re.sub(pattern, value, gzip.decompress(path.read_bytes()), count=1)))
    with pytest.raises(Bent) as found:
        check_archive(path)
    assert (found.value.sequence, found.value.kind) == (1, "changed")


def test_a_file_whose_bits_have_rotted_is_damaged_and_is_written_again(ends: list[int], folder: Path) -> None:
    folder.mkdir()
    prepare(Span(1, ends[1]), folder)
    path = folder / f"trail-1-{ends[1]}.jsonl.gz"
    good = path.read_bytes()
    # the reserved kind of a block
    path.write_bytes(good[:10] + bytes([good[10] | 0b110]) + good[11:])
    with pytest.raises(ValueError, match="damaged"):
        check_archive(path)
    assert archive(moments()[2], folder) == [path.name]
    assert path.read_bytes() == good
    assert_in_order()


def test_what_leaves_while_it_is_verified_is_not_missed(ends: list[int], folder: Path) -> None:
    left: list[str] = []

    def leave_meanwhile(done: int, total: int) -> None:
        if not left:
            left.extend(archive(moments()[2], folder))

    report = verify(progress=leave_meanwhile, portion_size=2)
    assert left
    assert (report.bent, report.archived, report.first) == (None, ends[1], ends[1] + 1)


def test_the_key_of_a_node_that_never_signed_a_checkpoint_may_archive(
    ends: list[int], folder: Path, settings: Settings, tmp_path: Path
) -> None:
    signing = settings.AUDIT_SIGNING_KEY_FILE
    settings.AUDIT_SIGNING_KEY_FILE = tmp_path / "other"
    assert archive(moments()[2], folder) == [f"trail-1-{ends[1]}.jsonl.gz"]
    settings.AUDIT_SIGNING_KEY_FILE = signing
    assert_in_order()


def test_an_account_without_a_name_archives_by_its_number(
    ends: list[int], folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("LOGNAME", "USER", "LNAME", "USERNAME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(os, "getuid", lambda: 2_147_483_000)
    run("archive", "--before", moments()[2].isoformat(), "--dir", str(folder))
    assert told()[0]["account"] == "2147483000"


def test_the_command_archives_and_verifies_what_it_archived(ends: list[int], folder: Path) -> None:
    given = ["--before", moments()[2].isoformat(), "--dir", str(folder)]
    dry = run("archive", *given, "--dry-run")
    assert dry.splitlines() == [f"{ends[1]} entries would go to {folder / f'trail-1-{ends[1]}.jsonl.gz'}"]
    assert not folder.exists()
    assert f"{ends[1]} entries went to" in run("archive", *given)
    path = folder / f"trail-1-{ends[1]}.jsonl.gz"
    found = orjson.loads(run("verify", "--json", "--archive", str(path)))
    assert (found["ok"], found["entries"], found["checkpoints"]) == (True, ends[1], 2)
    assert told()[0]["account"]
    path.write_bytes(gzip.compress(b""))
    with pytest.raises(SystemExit):
        run("verify", "--archive", str(path))
    path.write_bytes(b"no archive at all")
    with pytest.raises(CommandError, match="could not be verified"):
        run("verify", "--archive", str(path))


def test_the_task_archives_what_is_older_than_the_setting_says(
    ends: list[int], folder: Path, settings: Settings
) -> None:
    settings.AUDIT_ARCHIVE_DIR = folder
    for days in (0, 1):
        settings.AUDIT_RETENTION_DAYS = days
        archive_trail()
    assert records()[0][0] == 1
    assert not folder.exists() or archived(folder) == []
    # the end of this day: what else would have to wait for it
    settings.AUDIT_RETENTION_DAYS = -1
    archive_trail()
    assert len(archived(folder)) == ends[-1]
    assert_in_order()


def run(*arguments: str) -> str:
    out = io.StringIO()
    call_command("audit", *arguments, stdout=out)
    return out.getvalue()
