"""`manage.py serve`: prepare everything, then serve everything, until Ctrl-C. It is what `make run` runs."""

import os
import sys
import time
from typing import Any, cast

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import connections

from audit_app.commands import Record
from audit_app.system import system_entry
from audit_app.writer import writer
from encryption_app.checks import TAG
from erlmcp_site.demo.loading import load_demo
from erlmcp_site.serving import file_broker
from erlmcp_site.serving.ending import CUT_STATUS
from erlmcp_site.serving.first_users import make_first_users
from erlmcp_site.serving.greeting import addresses, command_to_try
from erlmcp_site.serving.listening import CannotListen, is_of_this_machine, listen, raise_file_limit, url_of
from erlmcp_site.serving.migrating import NoDatabase, await_databases, migrate_databases
from erlmcp_site.serving.parts import parts_of
from erlmcp_site.serving.single import AlreadyRunning, hold
from erlmcp_site.serving.supervisor import Supervisor
from sessions_app.keys import ensure_signing_key


class Command(BaseCommand):
    help = "Migrate, make the first users, load the demo (once), then run web processes, Celery worker and beat."
    requires_system_checks = (TAG,)

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--host", default=settings.HOST)
        parser.add_argument("--port", type=int, default=settings.PORT, help="0 takes a free one")

    def handle(self, *args: Any, **options: Any) -> None:
        started = time.monotonic()
        raise_file_limit()
        try:
            lock = hold(settings.VAR_DIR) if settings.ON_SQLITE else None
            listeners = listen(options["host"], options["port"], settings.WEB_WORKERS)
            if settings.GRPC_PORT is not None:
                # gRPC binds by itself, in each web process, where there is nobody to tell why it cannot
                for probe in listen(options["host"], settings.GRPC_PORT, 1, "GRPC_PORT"):
                    probe.close()
            await_databases(self._say)
        except (AlreadyRunning, CannotListen, NoDatabase) as error:
            raise CommandError(str(error)) from None
        if not settings.PRODUCTION and not is_of_this_machine(listeners[0]):
            self._say(
                "others can reach this address, and PRODUCTION is not 1: cookies and tokens may go in the clear "
                "(docs/security.md)"
            )
        passwords = self._prepare()
        if settings.CELERY_BROKER_URL == file_broker.URL:
            file_broker.empty_broker(settings.CELERY_FOLDER)
        url = url_of(listeners[0])
        ready, tells = os.pipe()

        def on_ready() -> None:
            self._say(f"ready after {time.monotonic() - started:.1f} s at {url}")
            for line in addresses(url):
                self._line(line)
            self._say("try it:")
            self._line(command_to_try(url, passwords, with_demo=settings.DEMO))

        is_whole = Supervisor(parts_of(listeners, tells), ready, on_ready, self._say).run()
        self._say("stopped")
        if lock is not None:
            lock.close()
        if not is_whole:
            sys.exit(CUT_STATUS)

    def _prepare(self) -> dict[str, str]:
        """Bring the databases up; the first users' passwords if they were made now.

        Leaves neither threads nor connections behind, so that child processes can be started.
        """
        applied = migrate_databases(self._say)
        if applied:
            writer.run(Record(entry=system_entry("node/migrations", "database"), details=applied))
        ensure_signing_key()
        passwords = make_first_users()
        if passwords:
            self._say("the first users, with passwords that are not shown again:")
            for name, password in passwords.items():
                self._line(f"{name} {password}")
            if settings.DEMO:
                self._say(f"loaded {load_demo()} demo resources (remove them: python manage.py demo --remove)")
        writer.close()
        for connection in connections.all(initialized_only=True):
            connection.close()
            if connection.vendor == "postgresql":
                cast(Any, connection).close_pool()
        return passwords

    def _say(self, text: str) -> None:
        self._line(f"erlmcp: {text}")

    def _line(self, text: str) -> None:
        self.stdout.write(text)
        self.stdout.flush()
