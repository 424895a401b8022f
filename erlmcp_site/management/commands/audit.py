"""`manage.py audit`: a table of what can be done with the trail (erlmcp_site/management/audit/)."""

from typing import Any

from django.core.management.base import BaseCommand, CommandParser

from erlmcp_site.management.audit import sinks

SUBCOMMANDS = {"sinks": sinks}


class Command(BaseCommand):
    help = "Work with the audit trail."

    def add_arguments(self, parser: CommandParser) -> None:
        subparsers = parser.add_subparsers(dest="subcommand", required=True)
        for name, module in SUBCOMMANDS.items():
            module.add_arguments(subparsers.add_parser(name, help=module.HELP, description=module.HELP))

    def handle(self, *args: Any, subcommand: str, **options: Any) -> None:
        SUBCOMMANDS[subcommand].run(self, options)
