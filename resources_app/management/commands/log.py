from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from resources_app.log.head import bounds
from resources_app.log.retention import trim_to_latest
from resources_app.log.rules import trim_by_settings
from resources_app.log.skip import MOST, skip


class Command(BaseCommand):
    help = "Show where the log begins and ends, trim it now, or have it go on elsewhere after a restore."

    def add_arguments(self, parser: ArgumentParser) -> None:
        actions = parser.add_subparsers(dest="action", required=True)
        actions.add_parser("show", help="print the first and last offset of each stream, and the first of each prefix")
        trimming = actions.add_parser("trim", help="delete old events now")
        trimming.add_argument("--keep", type=int, metavar="N", help="keep the latest N; else what the settings keep")
        skipping = actions.add_parser("skip", help="after a restore: go on at an offset that never was")
        skipping.add_argument("--to", type=int, metavar="N", help="the new head, above every offset that ever was")

    def handle(self, *args: Any, action: str, keep: int | None = None, to: int | None = None, **options: Any) -> None:
        if action == "trim":
            count = trim_by_settings() if keep is None else trim_to_latest(max(keep, 0))
            self.stdout.write(f"{count} events deleted")
        elif action == "skip" and skip(to) is None:
            raise CommandError(f"N has to be above the head of the log, and at most {MOST}.")
        for stream, kept in sorted(bounds().items()):
            self.stdout.write(f"{stream}: earliest {kept.earliest}, head {kept.head}")
            if kept.skipped_to:
                self.stdout.write(f"{stream}: to be followed from {kept.skipped_to} on")
            for prefix, earliest in sorted(kept.prefixes.items()):
                self.stdout.write(f"{stream} below {prefix}: earliest {earliest}")
