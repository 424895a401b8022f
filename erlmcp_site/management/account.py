"""Who types a management command, for its audit entry, and which database accounts are in."""

import getpass
import os
from dataclasses import replace

from django.core.management.base import CommandError
from django.db import DEFAULT_DB_ALIAS

from audit_app.system import system_entry
from audit_app.trail import Entry


def account() -> str:
    """The name of the account at this machine; its number where that has no name, as in a container."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return str(os.getuid())


def entry_of(action: str, resource_type: str, resource_id: str = "") -> Entry:
    """The entry of what this account does with a command."""
    return replace(system_entry(action, resource_type, resource_id), user=account())


def check_database(alias: str) -> None:
    """Raises CommandError for a database that no users are kept in: Django's commands let one be chosen."""
    if alias != DEFAULT_DB_ALIAS:
        raise CommandError(f"Users are kept in the database {DEFAULT_DB_ALIAS}.")
