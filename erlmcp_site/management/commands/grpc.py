"""`manage.py grpc`: gRPC alone in one process, behind a supervisor of your own; web processes answer it as well."""

import sys
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser

from encryption_app.checks import TAG
from erlmcp_site.serving.alone import serve
from erlmcp_site.serving.ending import CUT_STATUS
from erlmcp_site.serving.listening import raise_file_limit
from erlmcp_site.serving.single import AlreadyRunning, hold
from erlmcp_site.transports.grpc.server import CannotBind

DEFAULT_PORT = 50051


class Command(BaseCommand):
    help = "Serve gRPC in one process, until SIGTERM; drains before it ends."
    requires_system_checks = (TAG,)

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--host", default=settings.HOST)
        parser.add_argument("--port", type=int, default=settings.GRPC_PORT or DEFAULT_PORT)

    def handle(self, *args: Any, **options: Any) -> None:
        raise_file_limit()
        try:
            lock = hold(settings.VAR_DIR) if settings.ON_SQLITE else None
            is_whole = serve(options["host"], options["port"], self._say)
        except (AlreadyRunning, CannotBind) as error:
            raise CommandError(str(error)) from None
        if lock is not None:
            lock.close()
        if not is_whole:
            sys.exit(CUT_STATUS)

    def _say(self, text: str) -> None:
        self.stdout.write(f"erlmcp: {text}")
        self.stdout.flush()
