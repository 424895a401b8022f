"""Make a new key-encryption key, which wraps what is new from now on."""

from collections.abc import Mapping
from typing import Any

from asgiref.sync import async_to_sync
from django.core.management.base import BaseCommand, CommandError, CommandParser

from encryption_app.key_encryption import add_key
from encryption_app.providers import PROVIDERS
from encryption_app.services import service_of
from erlmcp_site.management.account import entry_of


def add_arguments(parser: CommandParser) -> None:
    parser.add_argument("--provider", choices=sorted(PROVIDERS), required=True)


def run(command: BaseCommand, options: Mapping[str, Any]) -> None:
    provider: str = options["provider"]
    key_id = async_to_sync(add_key)(service_of(provider), entry_of("encryption/rotate", "provider", provider))
    if key_id is None:
        raise CommandError("Somebody else rotated in this moment; see keys status.")
    command.stdout.write(f"{provider} {key_id} wraps what is new; keys reencrypt wraps the rest by it")
