"""`manage.py backup FOLDER`: a backup of both databases, in the right order (docs/operations.md)."""

from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import DatabaseError

from audit_app.commands import Record
from audit_app.errors import Refusal
from audit_app.writer import writer
from erlmcp_site.backups import BackupFailed, back_up
from erlmcp_site.management.account import entry_of


class Command(BaseCommand):
    help = "Copy both databases and the second place of checkpoints into a new folder, while everything goes on."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("folder", type=Path, help="which must not be there yet")

    def handle(self, *args: Any, folder: Path, **options: Any) -> None:
        try:
            # before it begins: who takes all data along is on record in the copy, too
            writer.run(Record(entry=entry_of("node/backup", "database"), details={"folder": str(folder.resolve())}))
            for path in back_up(folder):
                self.stdout.write(f"{path} {path.stat().st_size}")
        except (BackupFailed, DatabaseError, OSError, Refusal) as error:
            raise CommandError(f"There is no backup: {error}") from error
