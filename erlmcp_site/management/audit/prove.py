"""Print the proof that an entry is in the trail, as JSON, for `audit verify --proof`."""

from collections.abc import Mapping
from typing import Any

import orjson
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import DatabaseError

from audit_app.chain.proofs import NotProvable, prove


def add_arguments(parser: CommandParser) -> None:
    parser.add_argument("id", help="the id of the entry")


def run(command: BaseCommand, options: Mapping[str, Any]) -> None:
    try:
        proof = prove(options["id"])
    except NotProvable as error:
        raise CommandError(str(error)) from None
    except (DatabaseError, UnicodeEncodeError) as error:
        # of the latter, an id that is no text
        raise CommandError(f"The entry could not be looked up: {error}") from error
    command.stdout.write(orjson.dumps(proof, option=orjson.OPT_INDENT_2).decode())
