"""`manage.py audit`: what an operator or an auditor does with the trail."""

from types import ModuleType
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import DatabaseError, InterfaceError

from erlmcp_site.management.audit import archive, checkpoint, export, prove, sinks, verify

SUBCOMMANDS: dict[str, ModuleType] = {
    "archive": archive,
    "checkpoint": checkpoint,
    "export": export,
    "prove": prove,
    "sinks": sinks,
    "verify": verify,
}


class Command(BaseCommand):
    help = "Verify, sign, export, deliver and archive the audit trail, and prove what is in it."

    def add_arguments(self, parser: CommandParser) -> None:
        subparsers = parser.add_subparsers(dest="subcommand", required=True, metavar="subcommand")
        for name, module in SUBCOMMANDS.items():
            help = (module.__doc__ or "").splitlines()[0]
            module.add_arguments(subparsers.add_parser(name, help=help, description=help))

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            SUBCOMMANDS[options["subcommand"]].run(self, options)
        except (DatabaseError, InterfaceError) as error:
            raise CommandError(f"A database does not answer as it should: {error}") from error
