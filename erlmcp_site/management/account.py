"""Who types a management command, for its audit entry; and how such a command has something written."""

import getpass
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

from django.core.exceptions import ImproperlyConfigured
from django.core.management.base import CommandError
from django.db import DEFAULT_DB_ALIAS, DatabaseError, InterfaceError

from audit_app.errors import Refusal
from audit_app.system import system_entry
from audit_app.trail import Entry
from audit_app.writer import writer


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


@contextmanager
def written() -> Iterator[None]:
    """Around what a command does to accounts: the writer is at rest when it ends. Raises CommandError."""
    try:
        yield
    except (DatabaseError, InterfaceError, ImproperlyConfigured, Refusal) as error:
        raise CommandError(str(error)) from error
    finally:
        writer.close()
