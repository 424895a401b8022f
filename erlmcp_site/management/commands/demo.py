"""`manage.py demo`: a live feed below resource://demo.local/, loading the demo first where it is missing."""

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from erlmcp_site.demo.feed import run_feed
from erlmcp_site.demo.loading import load_demo, remove_demo


class Command(BaseCommand):
    help = "Change the demo's resources like a live feed; load them first where they are missing, or remove them all."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--rate", type=float, default=5.0, help="changes a second (5)")
        parser.add_argument("--seconds", type=float, help="stop after so many seconds (never)")
        what = parser.add_mutually_exclusive_group()
        what.add_argument("--load", action="store_true", help="only load what is missing")
        what.add_argument(
            "--remove", action="store_true", help="delete what was loaded, and all else below resource://demo.local/"
        )

    def handle(self, *args: Any, **options: Any) -> None:
        if options["remove"]:
            self._line(f"removed {remove_demo()} resources")
            return
        if not 0 < options["rate"] <= 10_000:
            raise CommandError("--rate is a number of changes a second, above 0 and up to 10000.")
        self._line(f"loaded {load_demo()} resources that were missing")
        if options["load"]:
            return
        end = "until Ctrl-C" if options["seconds"] is None else f"for {options['seconds']:g} s"
        self._line(f"{options['rate']:g} changes a second below resource://demo.local/ {end}")
        try:
            made = run_feed(options["rate"], options["seconds"], self._progress)
        except KeyboardInterrupt:
            self._line("")
            return
        self._line(f"\r{made} changes")

    def _progress(self, made: int) -> None:
        if self.stdout.isatty():
            self.stdout.write(f"\r{made} changes", ending="")
            self.stdout.flush()

    def _line(self, text: str) -> None:
        self.stdout.write(text)
        self.stdout.flush()
