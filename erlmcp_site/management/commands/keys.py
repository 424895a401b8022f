"""`manage.py keys`: what an operator does with the keys of encrypted content."""

from types import ModuleType
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import DatabaseError, InterfaceError

from audit_app.errors import Refusal
from erlmcp_site.management.keys import destroy, reencrypt, rotate, status

SUBCOMMANDS: dict[str, ModuleType] = {
    "destroy": destroy,
    "reencrypt": reencrypt,
    "rotate": rotate,
    "status": status,
}


class Command(BaseCommand):
    help = "Show, rotate and destroy the keys of encrypted content, and encrypt it anew."

    def add_arguments(self, parser: CommandParser) -> None:
        subparsers = parser.add_subparsers(dest="subcommand", required=True, metavar="subcommand")
        for name, module in SUBCOMMANDS.items():
            help = (module.__doc__ or "").splitlines()[0]
            module.add_arguments(subparsers.add_parser(name, help=help, description=help))

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            SUBCOMMANDS[options["subcommand"]].run(self, options)
        except Refusal as refusal:
            told = ", ".join(f"{name}: {value}" for name, value in refusal.data.items())
            raise CommandError(f"{refusal.message}{f' ({told})' if told else ''}") from refusal
        except (DatabaseError, InterfaceError) as error:
            raise CommandError(f"A database does not answer as it should: {error}") from error
