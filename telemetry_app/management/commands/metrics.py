"""`manage.py metrics`: every metric with its type, labels, unit and meaning, as docs/telemetry.md has them."""

from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandParser

from telemetry_app.catalogue import CATALOGUE
from telemetry_app.page import page, table


class Command(BaseCommand):
    help = "Show every metric as a table of Markdown, or write the tables of docs/telemetry.md."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--write", action="store_true", help="bring docs/telemetry.md up to date")

    def handle(self, *args: Any, **options: Any) -> None:
        if options["write"]:
            file = Path(settings.BASE_DIR) / "docs" / "telemetry.md"
            file.write_text(page(file.read_text()))
        else:
            self.stdout.write(table(CATALOGUE.values()))
