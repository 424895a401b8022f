"""Verify the trail, a part of it, or a proof; exits 1 and names the first entry that is not in order, and why."""

import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import orjson
from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import DatabaseError, InterfaceError

from audit_app.archives import check_archive
from audit_app.chain.bending import Bent
from audit_app.chain.keys import PublicKeys, parse_public_keys
from audit_app.chain.proofs import NotProven, check_proof
from audit_app.chain.second_place import SecondPlace
from audit_app.chain.statements import START
from audit_app.chain.verified import last_verified, remember_verified
from audit_app.chain.verify import Report, verify

FAILED = 2
"""The status when nothing could be verified."""


def add_arguments(parser: CommandParser) -> None:
    parser.add_argument("--json", action="store_true", help="print what was found as JSON")
    parser.add_argument("--from", dest="start", type=_sequence, metavar="N", help="begin at this entry")
    parser.add_argument("--until", type=_sequence, metavar="N", help="end at this entry")
    parser.add_argument("--since-checkpoint", action="store_true", help="begin where the last good verification ended")
    parser.add_argument("--public-key", type=Path, metavar="FILE", help="believe the keys in this file, and no others")
    parser.add_argument("--archive", type=Path, metavar="FILE", help="check this archive, and no other entries")
    parser.add_argument("--proof", type=Path, metavar="FILE", help="check this proof, and ask no database")


def run(command: BaseCommand, options: Mapping[str, Any]) -> None:
    pinned = _pinned(options["public_key"])
    if options["proof"]:
        _run_proof(command, options, pinned)
    elif options["archive"]:
        _run_archive(command, options, pinned)
    elif options["since_checkpoint"] and (options["start"] or options["until"]):
        raise CommandError("--since-checkpoint goes with neither --from nor --until.", returncode=FAILED)
    elif options["until"] and (options["start"] or 1) > options["until"]:
        raise CommandError("--from comes before --until.", returncode=FAILED)
    else:
        _run_trail(command, options, pinned)


def _run_trail(command: BaseCommand, options: Mapping[str, Any], pinned: PublicKeys | None) -> None:
    second = SecondPlace(settings.AUDIT_CHECKPOINT_FILE)
    shows = sys.stderr.isatty() and not options["json"]
    bar = Bar() if shows else None
    try:
        since = last_verified(second) if options["since_checkpoint"] else START
        start, until = options["start"] or 1, options["until"]
        report = verify(start=start, until=until, since=since, pinned=pinned, progress=bar)
    except (DatabaseError, InterfaceError, OSError, ValueError, TypeError) as error:
        # of the last two, what somebody has put where SQLite should have a number
        raise CommandError(f"The trail could not be verified: {error}", returncode=FAILED) from error
    if bar:
        bar.end()
    if report.bent is None and start == 1 and until is None:
        _remember(command, second, report)
    if options["json"]:
        command.stdout.write(orjson.dumps(report.as_json()).decode())
    else:
        command.stdout.write(_sentence(report))
    if report.bent:
        sys.exit(1)


def _remember(command: BaseCommand, second: SecondPlace, report: Report) -> None:
    try:
        remember_verified(second, report.anchor)
    except OSError as error:
        # somebody who may only read; what was found is none the worse
        command.stderr.write(f"The next --since-checkpoint will not begin here: {error}")


def _run_proof(command: BaseCommand, options: Mapping[str, Any], pinned: PublicKeys | None) -> None:
    if pinned is None:
        raise CommandError("--proof needs --public-key: a proof is worth what the key is.", returncode=FAILED)
    try:
        proven = check_proof(options["proof"].read_bytes(), pinned)
    except OSError as error:
        raise CommandError(f"The proof cannot be read: {error}", returncode=FAILED) from None
    except NotProven as error:
        if not options["json"]:
            raise CommandError(f"not proven: {error}") from None
        command.stdout.write(orjson.dumps({"ok": False, "why": str(error)}).decode())
        sys.exit(1)
    record, statement = proven.record, proven.statement
    if options["json"]:
        found = {"ok": True, "id": record["id"], "sequence": record["sequence"], "checkpoint": statement.number}
        command.stdout.write(orjson.dumps(found).decode())
        return
    command.stdout.write(
        f"proven: entry {record['sequence']} ({record['id']}) is in the trail of {statement.origin}, as checkpoint"
        f" {statement.number} of {statement.at} has signed with the key {statement.key}"
    )


def _run_archive(command: BaseCommand, options: Mapping[str, Any], pinned: PublicKeys | None) -> None:
    try:
        checked = check_archive(options["archive"], pinned)
    except Bent as bent:
        found: dict[str, Any] = {"ok": False, "sequence": bent.sequence, "kind": bent.kind, "why": bent.why}
        told = f"BENT at {bent.sequence}: {bent.why} ({bent.kind})"
    except (DatabaseError, InterfaceError, OSError, ValueError) as error:
        raise CommandError(f"The archive could not be verified: {error}", returncode=FAILED) from error
    else:
        span = checked.span
        found = {"ok": True, "first": span.first, "last": span.last, "entries": span.entries}
        found |= {"checkpoints": checked.checkpoints, "keys": dict(checked.keys)}
        parts = [f"{span.entries} entries in order, {span.first} to {span.last}", f"{checked.checkpoints} checkpoints"]
        told = "; ".join(parts + [f"key {id} ({source})" for id, source in checked.keys.items()])
    command.stdout.write(orjson.dumps(found).decode() if options["json"] else told)
    if not found["ok"]:
        sys.exit(1)


def _sentence(report: Report) -> str:
    if report.bent:
        return f"BENT at {report.bent.sequence}: {report.bent.why} ({report.bent.kind})"
    parts = [f"{report.entries} entries in order, {report.first} to {report.last}", f"{report.checkpoints} checkpoints"]
    if report.archived:
        parts.append(f"archived up to {report.archived}")
    if report.unsigned:
        parts.append(f"{report.unsigned} not signed yet")
    parts += [f"key {id} ({source})" for id, source in report.keys.items()]
    return "; ".join(parts)


def _pinned(path: Path | None) -> PublicKeys | None:
    if path is None:
        return None
    try:
        return parse_public_keys(path.read_bytes())
    except (OSError, ValueError) as error:
        raise CommandError(f"{path} cannot be used as public key: {error}", returncode=FAILED) from None


def _sequence(text: str) -> int:
    number = int(text)
    if not 0 < number < 2**63:
        raise ValueError(text)
    return number


class Bar:
    """A progress bar on standard error, drawn ten times a second at most."""

    WIDTH = 30
    PAUSE = 0.1

    def __init__(self) -> None:
        self._began = self._drawn = time.monotonic()

    def __call__(self, done: int, total: int) -> None:
        now = time.monotonic()
        if now - self._drawn < self.PAUSE and done < total:
            return
        self._drawn = now
        full = self.WIDTH * done // max(1, total)
        rate = done / max(1e-9, now - self._began)
        sys.stderr.write(f"\r[{'#' * full}{'.' * (self.WIDTH - full)}] {done} of {total}, {rate:,.0f}/s\x1b[K")
        sys.stderr.flush()

    def end(self) -> None:
        sys.stderr.write("\r\x1b[K")
        sys.stderr.flush()
