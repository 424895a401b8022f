"""Sign what no checkpoint covers yet, now and not within a minute."""

from collections.abc import Mapping
from typing import Any

from django.core.exceptions import ImproperlyConfigured
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import DatabaseError

from audit_app.chain.checkpoints import sign_trail
from audit_app.chain.statements import Malformed
from audit_app.errors import Refusal
from audit_app.mover import move_entries


def add_arguments(parser: CommandParser) -> None:
    """It takes none."""


def run(command: BaseCommand, options: Mapping[str, Any]) -> None:
    try:
        move_entries()
        signed = sign_trail()
    except Malformed as error:
        raise CommandError(f"The last checkpoint was changed: {error}. See `audit verify`.") from None
    except (ImproperlyConfigured, Refusal, DatabaseError, OSError) as error:
        raise CommandError(f"Nothing was signed: {error}") from error
    if signed is None:
        command.stdout.write("nothing to sign")
        return
    statement = signed.statement
    command.stdout.write(f"checkpoint {statement.number} signs the entries {statement.first} to {statement.last}")
