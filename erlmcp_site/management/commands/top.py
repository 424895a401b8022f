"""`manage.py top`: what a node does, in a terminal, second by second."""

import contextlib
import getpass
import json
import os
import sys
import time
from collections.abc import Iterator
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser
from rich.console import Console, RenderableType
from rich.live import Live
from rich.text import Text

from erlmcp_site.management.top.asking import Asker, Json, NoAnswer, NotAllowed
from erlmcp_site.management.top.frame import frame
from erlmcp_site.management.top.local import Looker

PLAIN_WIDTH = 120
"""Of text that goes to no terminal."""


class Command(BaseCommand):
    help = (
        "Show how a node does, each second: sessions, rates, latencies, what waits, slow topics. "
        "TOKEN in the environment is an access token or an API key with telemetry:read; "
        "with --user one is got by a login (PASSWORD, or asked for); with --local none is needed, "
        "but the right to read VAR_DIR."
    )
    requires_system_checks = ()

    def add_arguments(self, parser: CommandParser) -> None:
        host = "127.0.0.1" if settings.HOST in {"0.0.0.0", "::"} else settings.HOST
        parser.add_argument("--url", default=f"http://{host}:{settings.PORT}", help="of the node (%(default)s)")
        parser.add_argument("--user", help="who logs in")
        parser.add_argument("--local", action="store_true", help="look at the node of this VAR_DIR, as its own user")
        parser.add_argument("--once", action="store_true", help="show one frame and end")
        parser.add_argument("--json", action="store_true", help="print snapshots as JSON, one a line")
        parser.add_argument("--interval", type=float, default=1.0, metavar="SECONDS", help="between frames (1)")

    def handle(self, *args: Any, **options: Any) -> None:
        if not 0.1 <= options["interval"] <= 3600:
            raise CommandError("--interval is a number of seconds, from 0.1 to 3600.")
        asker = Looker(options["url"]) if options["local"] else _asker(options["url"], options["user"])
        with contextlib.suppress(KeyboardInterrupt, BrokenPipeError):
            if options["once"]:
                self._show_once(asker, as_json=options["json"])
            elif options["json"]:
                for snapshot, trouble in _looks(asker, options["interval"]):
                    self._print({"url": asker.url, "error": trouble} if trouble or snapshot is None else snapshot)
            else:
                _show(asker, options["interval"])

    def _show_once(self, asker: Asker | Looker, *, as_json: bool) -> None:
        try:
            snapshot = asker.ask()
        except NoAnswer as error:
            raise CommandError(f"{asker.url}: {error}") from error
        if as_json:
            self._print(snapshot)
        else:
            _console().print(frame(asker.url, snapshot))

    def _print(self, document: Json) -> None:
        self.stdout.write(json.dumps(document))
        self.stdout.flush()


def _asker(url: str, user: str | None) -> Asker:
    token = os.environ.get("TOKEN") or None
    if user is None and token is None:
        raise CommandError(
            "Set TOKEN to an access token or an API key, or say who logs in with --user; "
            "or look with --local, as the node's own user."
        )
    if user is None:
        return Asker(url, token)
    return Asker(url, login=(user, os.environ.get("PASSWORD") or getpass.getpass(f"Password of {user}: ")))


def _looks(asker: Asker | Looker, interval: float) -> Iterator[tuple[Json | None, str | None]]:
    """The last snapshot that there was, and what keeps it from being of now; again and again.

    A node that is away is asked on. Raises CommandError when the first answer says that asking again is no use.
    """
    snapshot: Json | None = None
    answered_at = time.monotonic()
    while True:
        trouble = None
        try:
            snapshot = asker.ask()
            answered_at = time.monotonic()
        except NoAnswer as error:
            if snapshot is None and isinstance(error, NotAllowed):
                raise CommandError(f"{asker.url}: {error}") from error
            trouble = f"no answer for {time.monotonic() - answered_at:.0f} s: {error}"
        yield snapshot, trouble
        # people look at one frame for so long; nothing is waited for
        time.sleep(interval)


def _show(asker: Asker | Looker, interval: float) -> None:
    console = _console()
    looks = (_shown(asker.url, *look) for look in _looks(asker, interval))
    if not console.is_terminal:
        for shown in looks:
            console.print(shown)
            console.file.flush()
        return
    with Live(console=console, screen=True, auto_refresh=False, vertical_overflow="crop") as live:
        for shown in looks:
            live.update(shown, refresh=True)


def _shown(url: str, snapshot: Json | None, trouble: str | None) -> RenderableType:
    return Text(f"{url}  {trouble}") if snapshot is None else frame(url, snapshot, trouble)


def _console() -> Console:
    """The terminal, in its own width; where there is none, lines that are long enough."""
    return Console(width=None if sys.stdout.isatty() or os.environ.get("COLUMNS") else PLAIN_WIDTH, highlight=False)
