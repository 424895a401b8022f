"""The frame of commands that have subcommands, a module each."""

from collections.abc import Mapping
from types import ModuleType
from typing import Any, ClassVar

from django.core.management.base import BaseCommand, CommandParser

from erlmcp_site.management.writing import written


class CommandWithSubcommands(BaseCommand):
    """A command whose subcommands are modules with `add_arguments(parser)` and `run(command, options)`.

    The first line of a module's docstring is its help. They run as `written` says.
    """

    subcommands: ClassVar[Mapping[str, ModuleType]]

    def add_arguments(self, parser: CommandParser) -> None:
        subparsers = parser.add_subparsers(dest="subcommand", required=True, metavar="subcommand")
        for name, module in self.subcommands.items():
            help = (module.__doc__ or "").splitlines()[0]
            module.add_arguments(subparsers.add_parser(name, help=help, description=help))

    def handle(self, *args: Any, **options: Any) -> None:
        with written():
            self.subcommands[options["subcommand"]].run(self, options)
