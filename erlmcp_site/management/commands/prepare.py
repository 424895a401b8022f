"""`manage.py prepare`: what `serve` does before it serves, for those who run the parts on their own."""

from typing import Any

from django.core.management.base import BaseCommand, CommandError

from encryption_app.checks import TAG
from erlmcp_site.serving.migrating import NoDatabase, await_databases
from erlmcp_site.serving.preparing import prepare


class Command(BaseCommand):
    help = "Wait for the databases, migrate them, make the first users (once), and end."
    requires_system_checks = (TAG,)

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            await_databases(self._say)
        except NoDatabase as error:
            raise CommandError(str(error)) from None
        prepare(self._say, self.stdout.write)

    def _say(self, text: str) -> None:
        self.stdout.write(f"erlmcp: {text}")
