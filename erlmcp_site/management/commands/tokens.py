"""`manage.py tokens`: the keys that sign tokens."""

from erlmcp_site.management.subcommands import CommandOfParts
from erlmcp_site.management.tokens import keys, rotate


class Command(CommandOfParts):
    help = "List the keys that sign tokens, or have a new one take over."
    parts = {"keys": keys, "rotate": rotate}
