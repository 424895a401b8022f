"""`manage.py web`: one web process, as `serve` starts it, or alone behind a supervisor of your own."""

import socket
import sys
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser

from encryption_app.checks import TAG
from erlmcp_site.serving.listening import CannotListen, listen, raise_file_limit
from erlmcp_site.serving.web import serve


class Command(BaseCommand):
    help = "Serve HTTP and WebSocket in one process, until SIGTERM; drains before it ends."
    requires_system_checks = (TAG,)

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--host", default=settings.HOST)
        parser.add_argument("--port", type=int, default=settings.PORT)
        parser.add_argument("--fd", type=int, help="a listening socket that is already open, instead of host and port")
        parser.add_argument("--ready-fd", type=int, help="a byte is written here when requests are answered")

    def handle(self, *args: Any, **options: Any) -> None:
        raise_file_limit()
        if options["fd"] is not None:
            listener = socket.socket(fileno=options["fd"])
        else:
            try:
                (listener,) = listen(options["host"], options["port"], 1)
            except CannotListen as error:
                raise CommandError(str(error)) from None
        sys.exit(serve(listener, options["ready_fd"]))
