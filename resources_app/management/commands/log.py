from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand

from resources_app.log.head import CHANGES, bounds
from resources_app.log.retention import trim, trim_by_settings


class Command(BaseCommand):
    help = "Show where the log begins and ends, or trim it now."

    def add_arguments(self, parser: ArgumentParser) -> None:
        actions = parser.add_subparsers(dest="action", required=True)
        actions.add_parser("show", help="print the first and last offset of each stream")
        trimming = actions.add_parser("trim", help="delete old events now")
        trimming.add_argument("--keep", type=int, metavar="N", help="keep the latest N; else what the settings keep")

    def handle(self, *args: Any, action: str, keep: int | None = None, **options: Any) -> None:
        if action == "trim":
            if keep is None:
                count = trim_by_settings()
            else:
                count = trim(CHANGES, bounds()[CHANGES].head - max(keep, 0) + 1)
            self.stdout.write(f"{count} events deleted")
        for stream, kept in sorted(bounds().items()):
            self.stdout.write(f"{stream}: earliest {kept.earliest}, head {kept.head}")
