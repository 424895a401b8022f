"""Wrap all data keys by the current keys, and bring what is kept in line with the rules, while everything goes on."""

import time
from collections.abc import Mapping
from typing import Any

from asgiref.sync import async_to_sync
from django.core.management.base import BaseCommand, CommandParser

from encryption_app.runs import Run, last_run
from encryption_app.status import run_as_json
from erlmcp_site.management.account import entry_of
from erlmcp_site.management.keys.status import told
from resources_app.reencryption import begin_reencryption, reencrypt

LOOK_SECONDS = 1.0


def add_arguments(parser: CommandParser) -> None:
    parser.add_argument("--detach", action="store_true", help="only begin; the Celery worker does it")
    parser.add_argument("--here", action="store_true", help="do it in this process, not in the Celery worker")


def run(command: BaseCommand, options: Mapping[str, Any]) -> None:
    """Begin, or go on with what was begun. Ctrl-C ends only the watching."""
    entry = entry_of("encryption/reencrypt", "encryption")
    now: Run | None = async_to_sync(begin_reencryption)(entry)
    while now is not None:
        command.stdout.write(told(run_as_json(now)))
        if now.is_finished or options["detach"]:
            return
        if options["here"]:
            now = async_to_sync(reencrypt)(LOOK_SECONDS, entry)
        else:
            # an operator watches the worker: it goes on without them, so they may end this whenever they like
            time.sleep(LOOK_SECONDS)
            now = last_run()
