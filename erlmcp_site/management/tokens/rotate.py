"""Have a new key sign; what the old one has signed stays good until it expires."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from erlmcp_site.management.account import account
from sessions_app.key_store import PUBLISH_SECONDS, key_entry
from sessions_app.keys import rotate_signing_key


def add_arguments(parser: CommandParser) -> None:
    """It takes none."""


def run(command: BaseCommand, options: Mapping[str, Any]) -> None:
    """Raises CommandError when another rotation came first."""
    kid = rotate_signing_key(replace(key_entry(), user=account()))
    if kid is None:
        raise CommandError("Another rotation came first: there is a new key already.")
    command.stdout.write(f"{kid} signs in {PUBLISH_SECONDS:g} s, when every node knows it")
