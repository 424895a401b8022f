"""Move entries that were signed before a moment to files, whole checkpoints at a time; those themselves stay."""

from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import DatabaseError

from audit_app.errors import Refusal
from audit_app.retention import ArchiveFailed, archivable, archive_old
from erlmcp_site.management.account import account


def add_arguments(parser: CommandParser) -> None:
    parser.add_argument("--before", type=_moment, required=True, metavar="DATE", help="such as 2026-11-01, in UTC")
    parser.add_argument("--dry-run", action="store_true", help="say what would be archived, and do nothing")
    parser.add_argument("--dir", type=Path, default=settings.AUDIT_ARCHIVE_DIR, help="(AUDIT_ARCHIVE_DIR)")


def run(command: BaseCommand, options: Mapping[str, Any]) -> None:
    before, folder = options["before"], options["dir"]
    try:
        if options["dry_run"]:
            for span in archivable(before):
                command.stdout.write(f"{span.entries} entries would go to {folder / span.name}")
            return
        for archived in archive_old(before, folder, {"account": account()}):
            command.stdout.write(f"{archived.span.entries} entries went to {archived.path}")
    except (ArchiveFailed, ImproperlyConfigured, Refusal, DatabaseError, OSError) as error:
        raise CommandError(str(error)) from error


def _moment(text: str) -> datetime:
    moment = datetime.fromisoformat(text)
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment
