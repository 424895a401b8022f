"""`manage.py keys`: what an operator does with the keys of encrypted content."""

from erlmcp_site.management.keys import destroy, reencrypt, rotate, status
from erlmcp_site.management.subcommands import CommandWithSubcommands


class Command(CommandWithSubcommands):
    help = "Show, rotate and destroy the keys of encrypted content, and encrypt it anew."
    subcommands = {"destroy": destroy, "reencrypt": reencrypt, "rotate": rotate, "status": status}
