"""The frame of commands that have subcommands, a module each."""

from collections.abc import Mapping
from types import ModuleType
from typing import Any, ClassVar

from django.core.exceptions import ImproperlyConfigured
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import DatabaseError, InterfaceError

from audit_app.errors import Refusal
from audit_app.writer import writer


class CommandWithSubcommands(BaseCommand):
    """A command whose subcommands are modules with `add_arguments(parser)` and `run(command, options)`.

    The first line of a module's docstring is its help. What is refused, what settings do not allow and a database that
    does not answer end the command with a sentence; whatever the end, the writer has committed what it was given.
    """

    subcommands: ClassVar[Mapping[str, ModuleType]]

    def add_arguments(self, parser: CommandParser) -> None:
        subparsers = parser.add_subparsers(dest="subcommand", required=True, metavar="subcommand")
        for name, module in self.subcommands.items():
            help = (module.__doc__ or "").splitlines()[0]
            module.add_arguments(subparsers.add_parser(name, help=help, description=help))

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            self.subcommands[options["subcommand"]].run(self, options)
        except Refusal as refusal:
            told = ", ".join(f"{name}: {value}" for name, value in refusal.data.items())
            raise CommandError(f"{refusal.message}{f' ({told})' if told else ''}") from refusal
        except ImproperlyConfigured as error:
            raise CommandError(str(error)) from error
        except (DatabaseError, InterfaceError) as error:
            raise CommandError(f"A database does not answer as it should: {error}") from error
        finally:
            writer.close()
