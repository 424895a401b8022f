"""`manage.py audit`: what an operator or an auditor does with the trail."""

from erlmcp_site.management.audit import archive, checkpoint, export, prove, sinks, verify
from erlmcp_site.management.subcommands import CommandWithSubcommands


class Command(CommandWithSubcommands):
    help = "Verify, sign, export, deliver and archive the audit trail, and prove what is in it."
    subcommands = {
        "archive": archive,
        "checkpoint": checkpoint,
        "export": export,
        "prove": prove,
        "sinks": sinks,
        "verify": verify,
    }
