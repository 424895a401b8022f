"""Destroy the content of one resource for good, what a user's sessions know, or a retired key-encryption key."""

from collections.abc import Mapping
from typing import Any

from asgiref.sync import async_to_sync
from django.contrib.auth.models import User
from django.core.management.base import BaseCommand, CommandError, CommandParser

from encryption_app.key_encryption import destroy_key
from encryption_app.providers import PROVIDERS
from encryption_app.services import service_of
from erlmcp_site.management.account import entry_of
from resources_app.shredding import destroy_content
from resources_app.uris import normalise
from sessions_app.shredding import destroy_contexts


def add_arguments(parser: CommandParser) -> None:
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("--resource", metavar="URI", help="destroy the content of all versions of a resource")
    what.add_argument("--sessions", metavar="USER", help="destroy what the sessions of a user know, and end them")
    what.add_argument("--key", metavar="ID", help="destroy a retired key-encryption key; with --provider")
    parser.add_argument("--provider", choices=sorted(PROVIDERS))
    parser.add_argument("--yes", action="store_true", help="do not ask")


def run(command: BaseCommand, options: Mapping[str, Any]) -> None:
    """Raises CommandError when nobody says yes."""
    uri, key, provider, user = options["resource"], options["key"], options["provider"], options["sessions"]
    if key is not None and provider is None:
        raise CommandError("--key needs --provider.")
    if (
        not options["yes"]
        and input(f"Destroy {uri or key or f'what the sessions of {user} know'}? Nobody can bring it back. [yes/no] ")
        != "yes"
    ):
        raise CommandError("Nothing was destroyed.")
    if user is not None:
        user_id = _user_id(user)
        ended = async_to_sync(destroy_contexts)(user_id, entry_of("encryption/destroy", "user", user_id))
        command.stdout.write(f"what the sessions of {user} knew is destroyed; ended: {ended}")
        return
    if uri is None:
        async_to_sync(destroy_key)(service_of(provider), key, entry_of("encryption/destroy", "provider", provider))
        command.stdout.write(f"{provider} {key} is destroyed")
        return
    uri = normalise(uri)
    async_to_sync(destroy_content)(uri, entry_of("encryption/destroy", "resource", uri))
    command.stdout.write(f"the content of {uri} is destroyed")


def _user_id(name: str) -> str:
    """The id of a user. Raises CommandError when there is none of that name."""
    found = User.objects.filter(username=name).values_list("pk", flat=True).first()
    if found is None:
        raise CommandError(f"There is no user {name}.")
    return str(found)
