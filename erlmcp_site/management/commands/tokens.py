"""`manage.py tokens`: the keys that sign tokens."""

from dataclasses import replace
from typing import Any

from django.core.exceptions import ImproperlyConfigured
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import DatabaseError, InterfaceError
from django.utils.timezone import now

from audit_app.errors import Refusal
from audit_app.writer import writer
from erlmcp_site.management.account import account
from sessions_app.key_store import PUBLISH_SECONDS, key_entry
from sessions_app.keys import rotate_signing_key
from sessions_app.models import SigningKey
from sessions_app.queries import signing_keys


class Command(BaseCommand):
    help = "List the keys that sign tokens, or have a new one take over."

    def add_arguments(self, parser: CommandParser) -> None:
        subcommands = parser.add_subparsers(dest="subcommand", required=True, metavar="subcommand")
        subcommands.add_parser("keys", help="print each signing key with what it does")
        subcommands.add_parser(
            "rotate", help="have a new key sign; what the old one has signed stays good until it expires"
        )

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            if options["subcommand"] == "rotate":
                self._rotate()
            else:
                self._list()
        except (DatabaseError, InterfaceError, ImproperlyConfigured, Refusal) as error:
            raise CommandError(str(error)) from error
        finally:
            writer.close()

    def _rotate(self) -> None:
        kid = rotate_signing_key(replace(key_entry(), user=account()))
        if kid is None:
            raise CommandError("Another rotation came first: there is a new key already.")
        self.stdout.write(f"{kid} signs in {PUBLISH_SECONDS:g} s, when every node knows it")

    def _list(self) -> None:
        keys = signing_keys()
        signs = next((key.kid for key in keys if key.retired_at is None or key.retired_at > now()), None)
        for key in keys:
            self.stdout.write(f"{key.kid}  {key.algorithm}  {key.created_at:%Y-%m-%d %H:%M:%S}  {_does(key, signs)}")


def _does(key: SigningKey, signs: str | None) -> str:
    if key.kid == signs:
        return "signs"
    if key.retired_at is not None and key.retired_at <= now():
        return f"verifies, retired {key.retired_at:%Y-%m-%d %H:%M:%S}"
    return "published"
