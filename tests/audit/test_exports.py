"""`manage.py audit export`: what was chosen, whole, in every format, and an entry that tells of it."""

import csv
import gzip
import io
import random
import time
from pathlib import Path
from typing import Any

import orjson
import pytest
from django.core.management import CommandError, call_command
from django.db import connections

from audit_app import queries
from audit_app.chain.canonical import record_hash
from audit_app.exports import EXPORTS, Export
from audit_app.formats.csv import COLUMNS
from audit_app.models import AuditEntry
from audit_app.mover import move_entries
from tests.audit.conftest import Leave

pytestmark = pytest.mark.django_db(transaction=True, databases=["default", "audit"])

FORMULAS = ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1", "\n=1", "＝1", "=cmd|'/C calc'!A0"]


def export(*arguments: str) -> None:
    call_command("audit", "export", *arguments, stderr=io.StringIO())


def entries_of_exports() -> list[tuple[str, str, dict[str, Any]]]:
    move_entries()
    rows = AuditEntry.objects.filter(action="audit/export").order_by("sequence")
    return [(row.transport, row.outcome, orjson.loads(row.details)) for row in rows]


def test_an_export_has_everything_once_in_order(
    leave: Leave, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, dice: random.Random
) -> None:
    monkeypatch.setattr(queries, "STEP", 7)
    for _ in range(50):
        leave(timestamp=float(dice.randrange(20)))
    move_entries()
    file = tmp_path / "trail.jsonl"
    export("--output", str(file))
    records = [orjson.loads(line) for line in file.read_bytes().splitlines()]
    assert [record["sequence"] for record in records] == list(
        AuditEntry.objects.order_by("timestamp", "sequence").values_list("sequence", flat=True)
    )
    assert [record["hash"] for record in records] == [record_hash(record) for record in records]
    assert file.stat().st_mode & 0o777 == 0o600
    assert list(tmp_path.iterdir()) == [file]


def test_an_export_is_of_what_the_trail_had_when_it_began(leave: Leave) -> None:
    leave(3)
    move_entries()
    begun = Export.of(AuditEntry.objects.all(), "jsonl")
    leave(3)
    move_entries()
    assert begun.count == 3
    assert len(b"".join(begun.chunks()).splitlines()) == 3


def test_filters_choose_and_the_entry_tells_them(leave: Leave, tmp_path: Path) -> None:
    leave(2, user="alice", timestamp=1_800_000_000.0, resource_id="resource://demo.local/a")
    leave(2, user="bob", timestamp=time.time())
    move_entries()
    file = tmp_path / "alice.csv.gz"
    given = ["--user", "alice", "--since", "2026-12-01T00:00:00Z", "--resource", "resource://demo.local/*"]
    export(*given, "--queue", "data", "--outcome", "success", "--format", "csv", "--output", str(file))
    rows = list(csv.DictReader(io.StringIO(gzip.decompress(file.read_bytes()).decode())))
    assert [row["user"] for row in rows] == ["alice", "alice"]
    assert tuple(rows[0]) == COLUMNS
    ((transport, outcome, details),) = entries_of_exports()
    assert (transport, outcome) == ("system", "success")
    assert details.pop("account")
    assert details == {
        "format": "csv",
        "entries": 2,
        "filters": {
            "queue": "data",
            "user": "alice",
            "outcome": "success",
            "resource": "resource://demo.local/*",
            "since": "2026-12-01T00:00:00+00:00",
        },
    }


@pytest.mark.parametrize("format", EXPORTS)
def test_every_format_has_a_line_for_every_entry(
    leave: Leave, capfdbinary: pytest.CaptureFixture[bytes], format: str
) -> None:
    leave(5, user_agent="a\r\nforged\x1b[2J\u2028", details={"text": "a\r\nb"})
    move_entries()
    export("--format", format)
    lines = capfdbinary.readouterr().out.decode().splitlines()
    assert len(lines) == 5 + (format == "csv")


@pytest.mark.parametrize("text", FORMULAS)
def test_no_cell_begins_a_formula(leave: Leave, text: str) -> None:
    leave(action=text, user=text, user_agent=text, resource_id=text, request_id=text, session_id=text)
    move_entries()
    lines = b"".join(Export.of(AuditEntry.objects.all(), "csv").chunks()).decode()
    (row,) = csv.DictReader(io.StringIO(lines))
    for name in ("action", "user", "user_agent", "resource_id", "request_id", "session_id"):
        assert row[name].startswith("'")
        assert not set(row[name]) & set("\t\r\n")


@pytest.mark.parametrize(
    "arguments",
    [
        ("--since", "yesterday"),
        ("--queue", "other"),
        ("--since", "2026-01-02", "--until", "2026-01-01"),
        ("--user", ""),
    ],
)
def test_a_bad_filter_exports_nothing(tmp_path: Path, arguments: tuple[str, ...]) -> None:
    with pytest.raises(CommandError, match=r"--\w+: "):
        export(*arguments, "--output", str(tmp_path / "trail.jsonl"))
    assert list(tmp_path.iterdir()) == []
    assert entries_of_exports() == []


def test_an_export_that_fails_leaves_no_file(leave: Leave, tmp_path: Path) -> None:
    leave(3)
    move_entries()
    (tmp_path / "trail.jsonl").mkdir()
    with pytest.raises(CommandError, match="not exported"):
        export("--output", str(tmp_path / "trail.jsonl"))
    assert [path.name for path in tmp_path.iterdir()] == ["trail.jsonl"]


@pytest.mark.parametrize("format", ["ocsf", "ecs", "cef"])
def test_an_entry_that_was_bent_is_named_and_jsonl_has_it(leave: Leave, tmp_path: Path, format: str) -> None:
    leave(3)
    move_entries()
    with connections["audit"].cursor() as cursor:
        cursor.execute("UPDATE audit_app_auditentry SET outcome = 'fine' WHERE sequence = 2")
    with pytest.raises(CommandError, match=f"entry 2 was bent and has no form as {format}"):
        export("--format", format, "--output", str(tmp_path / "trail"))
    assert list(tmp_path.iterdir()) == []
    export("--output", str(tmp_path / "trail"))
    assert b'"fine"' in (tmp_path / "trail").read_bytes()
