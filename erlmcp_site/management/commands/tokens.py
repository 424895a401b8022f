"""`manage.py tokens`: the keys that sign tokens."""

from erlmcp_site.management.subcommands import CommandWithSubcommands
from erlmcp_site.management.tokens import keys, rotate


class Command(CommandWithSubcommands):
    help = "List the keys that sign tokens, or have a new one take over."
    subcommands = {"keys": keys, "rotate": rotate}
