"""Destroy the content of one resource for good, or a retired key-encryption key."""

from collections.abc import Mapping
from typing import Any

from asgiref.sync import async_to_sync
from django.core.management.base import BaseCommand, CommandError, CommandParser

from encryption_app.key_encryption import destroy_key
from encryption_app.providers import PROVIDERS
from encryption_app.services import service_of
from erlmcp_site.management.account import entry_of
from resources_app.shredding import destroy_content
from resources_app.uris import normalise


def add_arguments(parser: CommandParser) -> None:
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("--resource", metavar="URI", help="destroy the content of all versions of a resource")
    what.add_argument("--key", metavar="ID", help="destroy a retired key-encryption key; with --provider")
    parser.add_argument("--provider", choices=sorted(PROVIDERS))
    parser.add_argument("--yes", action="store_true", help="do not ask")


def run(command: BaseCommand, options: Mapping[str, Any]) -> None:
    """Raises CommandError when nobody says yes."""
    uri, key, provider = options["resource"], options["key"], options["provider"]
    if key is not None and provider is None:
        raise CommandError("--key needs --provider.")
    if not options["yes"] and input(f"Destroy {uri or key}? Nobody can bring it back. [yes/no] ") != "yes":
        raise CommandError("Nothing was destroyed.")
    if uri is None:
        async_to_sync(destroy_key)(service_of(provider), key, entry_of("encryption/destroy", "provider", provider))
        command.stdout.write(f"{provider} {key} is destroyed")
        return
    uri = normalise(uri)
    async_to_sync(destroy_content)(uri, entry_of("encryption/destroy", "resource", uri))
    command.stdout.write(f"the content of {uri} is destroyed")
