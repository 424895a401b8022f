"""`manage.py mcp_stdio`: the endpoint `/mcp` for clients that start a process and speak with it over its pipes."""

import contextlib
import os
from pathlib import Path
from typing import Any

import anyio
from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser

from erlmcp_site.management.stdio.bridge import bridge
from erlmcp_site.management.stdio.reaching import Bearer


class Command(BaseCommand):
    help = (
        "Carry messages of MCP between standard input and output and a running server, for clients that only start "
        "processes. ERLMCP_TOKEN in the environment is an API key or an access token, or --token-file names a file "
        "with one."
    )
    requires_system_checks = ()

    def add_arguments(self, parser: CommandParser) -> None:
        host = "127.0.0.1" if settings.HOST in {"0.0.0.0", "::"} else settings.HOST
        parser.add_argument("--url", default=f"http://{host}:{settings.PORT}/mcp", help="of the endpoint (%(default)s)")
        parser.add_argument("--token-file", type=Path, metavar="FILE", help="which is read anew for each request")

    def handle(self, *args: Any, **options: Any) -> None:
        if not options["url"].startswith(("http://", "https://")):
            raise CommandError("--url begins with http:// or https://.")
        file: Path | None = options["token_file"]
        if file is None:
            token = os.environ.get("ERLMCP_TOKEN", "").strip()
            if not token:
                raise CommandError("Set ERLMCP_TOKEN to an API key, or name a file that has one with --token-file.")
            bearer = Bearer(lambda: token)
        else:
            try:
                _read(file)
            except OSError as error:
                raise CommandError(f"{file}: {error.strerror}.") from None
            bearer = Bearer(lambda: _read(file))
        with contextlib.suppress(KeyboardInterrupt):
            anyio.run(bridge, options["url"], bearer)


def _read(file: Path) -> str:
    return file.read_text(errors="replace").strip()
