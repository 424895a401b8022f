"""`manage.py profile`: what a running web process is busy with, asked over its API as anybody who may would ask."""

import os
from pathlib import Path
from typing import Any

import orjson
import urllib3
from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser

from erlmcp_site.profiles import FORMS, MOST_SECONDS

TOKEN = "ERLMCP_TOKEN"  # noqa: S105  # the name of the variable
PATH = "/api/v1/telemetry/profile"
MARGIN_SECONDS = 60.0
MOST_TRIES = 100
"""How many connections are made until the process answers that is asked for: one that is busy takes few."""


class Command(BaseCommand):
    help = (
        "Profile a running web process for some seconds and print or keep the result. The process needs PROFILING=1; "
        f"{TOKEN} in the environment is an access token or API key of somebody with access:admin."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        host = "127.0.0.1" if settings.HOST in {"", "0.0.0.0", "::"} else settings.HOST
        parser.add_argument("--url", default=f"http://{host}:{settings.PORT}", help="of the node (default: this one's)")
        parser.add_argument("--pid", type=int, help="of which web process of the node; without it, whichever answers")
        parser.add_argument("--seconds", type=float, default=10.0, help=f"up to {MOST_SECONDS:g}; 10")
        parser.add_argument("--format", choices=list(FORMS), default="text")
        parser.add_argument("--output", type=Path, help="a file for it; without one, it is printed")

    def handle(self, *args: Any, **options: Any) -> None:
        token = os.environ.get(TOKEN, "").strip()
        if not token:
            raise CommandError(f"{TOKEN} has to be an access token or an API key.")
        asked = {"seconds": options["seconds"], "format": options["format"]}
        if options["pid"] is not None:
            asked["pid"] = options["pid"]
        found = _asked(options["url"].rstrip("/"), token, asked)
        if options["output"] is None:
            self.stdout.write(found["profile"])
        else:
            options["output"].write_text(found["profile"], encoding="utf-8")
        self.stderr.write(f"process {found['pid']}, {found['seconds']:.1f} s, {found['samples']} samples")


def _asked(url: str, token: str, asked: dict[str, Any]) -> dict[str, Any]:
    """The profile. Where another process of the node answers than was asked for, others are tried.

    Raises CommandError.
    """
    others: set[int] = set()
    for _ in range(MOST_TRIES if "pid" in asked else 1):
        status, found = _answered(url, token, asked)
        if status == 200:
            return found
        if "pid" not in found:
            raise CommandError(f"{url} refuses: {found.get('code')}: {found.get('detail')}")
        others.add(found["pid"])
    answering = ", ".join(map(str, sorted(others)))
    raise CommandError(f"no process {asked['pid']} answers at {url}; these do: {answering}")


def _answered(url: str, token: str, asked: dict[str, Any]) -> tuple[int, dict[str, Any]]:
    """One answer, over a connection of its own: the kernel gives each to any of the processes."""
    headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json", "Connection": "close"}
    timeout = urllib3.Timeout(connect=5.0, read=asked["seconds"] + MARGIN_SECONDS)
    http = urllib3.PoolManager(timeout=timeout, retries=False)
    try:
        answer = http.request("POST", url + PATH, headers=headers, body=orjson.dumps(asked))
        found: dict[str, Any] = orjson.loads(answer.data)
    except (urllib3.exceptions.HTTPError, orjson.JSONDecodeError) as error:
        raise CommandError(f"{url} does not answer: {type(error).__name__}") from None
    return answer.status, found
