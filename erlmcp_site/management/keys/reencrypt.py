"""Wrap all data keys by the current keys, and bring what is kept in line with the rules, while everything goes on."""

import time
from collections.abc import Mapping
from typing import Any

from asgiref.sync import async_to_sync
from django.core.management.base import BaseCommand, CommandError, CommandParser

from audit_app.trail import Entry
from encryption_app.errors import KeysAway
from encryption_app.runs import Run, last_run
from encryption_app.status import run_as_json
from erlmcp_site.management.account import entry_of
from erlmcp_site.management.keys.status import told, told_failures
from sessions_app.reencryption import begin_reencryption, reencrypt

LOOK_SECONDS = 1.0
WAIT_SECONDS = 5.0
TIMEOUT_SECONDS = 3600.0

FAILED, NOT_FINISHED = 1, 2
"""Exit codes."""


def add_arguments(parser: CommandParser) -> None:
    parser.add_argument("--detach", action="store_true", help="only begin; the Celery worker does it")
    parser.add_argument("--here", action="store_true", help="do it in this process, not in the Celery worker")
    parser.add_argument(
        "--timeout",
        type=float,
        default=TIMEOUT_SECONDS,
        metavar="SECONDS",
        help=f"how long to watch or to work ({TIMEOUT_SECONDS:g}); the rest is done later",
    )


def run(command: BaseCommand, options: Mapping[str, Any]) -> None:
    """Begin, or go on with what was begun. Ctrl-C ends only the watching.

    Raises CommandError when something could not be re-encrypted, and when time is over.
    """
    entry = entry_of("encryption/reencrypt", "encryption")
    until = time.monotonic() + options["timeout"]
    now: Run | None = async_to_sync(begin_reencryption)(entry)
    said = ""
    while now is not None:
        saying = told(run_as_json(now))
        if saying != said:
            command.stdout.write(saying)
            said = saying
        if now.is_finished:
            return _conclude(now)
        if options["detach"]:
            return
        if time.monotonic() >= until:
            raise CommandError(
                "Time is over, and it is not finished. The Celery worker goes on; if nothing moves, is there one?",
                returncode=NOT_FINISHED,
            )
        now = _work(command, until, entry) if options["here"] else _look(until)


def _work(command: BaseCommand, until: float, entry: Entry) -> Run | None:
    try:
        return async_to_sync(reencrypt)(min(LOOK_SECONDS, until - time.monotonic()), entry)
    except KeysAway as away:
        command.stdout.write(f"it waits: {away.why}")
        # a provider tells nobody that it is back: it is asked again
        time.sleep(max(0.0, min(WAIT_SECONDS, until - time.monotonic())))
        return last_run()


def _look(until: float) -> Run | None:
    # the worker is another process, whose progress stands in the table only: it is looked up once a second
    time.sleep(max(0.0, min(LOOK_SECONDS, until - time.monotonic())))
    return last_run()


def _conclude(run: Run) -> None:
    if run.failed:
        raise CommandError("\n".join(told_failures(run_as_json(run))), returncode=FAILED)
