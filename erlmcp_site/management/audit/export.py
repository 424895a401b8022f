"""Write chosen entries of the trail as lines, the oldest first (contract §8)."""

import gzip
import os
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, cast

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import DatabaseError
from rest_framework.exceptions import ValidationError

from audit_app.errors import Refusal
from audit_app.exports import EXPORTS, Bent, Export
from audit_app.models import AuditEntry
from audit_app.queries import Selection
from audit_app.serializers import Filters
from audit_app.system import system_entry
from erlmcp_site.management.account import account

FILTERS = {
    "since": "from this moment on, such as 2026-11-24T00:00:00Z",
    "until": "before this moment",
    "queue": "security, data or system",
    "action": "a method, such as resources/write",
    "user": "a user's name",
    "resource": "a URI, or all below one with /* at its end",
    "outcome": "success, refused or error",
}


def add_arguments(parser: CommandParser) -> None:
    parser.add_argument("--format", choices=EXPORTS, default="jsonl", help="(jsonl)")
    for name, what in FILTERS.items():
        parser.add_argument(f"--{name}", help=what)
    parser.add_argument(
        "--output", type=Path, metavar="FILE", help="instead of standard output; gzip if it ends in .gz"
    )


def run(command: BaseCommand, options: Mapping[str, Any]) -> None:
    """Export. Raises CommandError, and then leaves no file."""
    try:
        selection = Selection.of(Filters().run_validation(given(options)))
        export = Export.of(selection.apply(AuditEntry.objects.all()), options["format"])
        export.record(system_entry("audit/export", "audit"), {"filters": selection.told(), "account": account()})
        with destination(options["output"]) as file:
            for chunk in export.chunks():
                file.write(chunk)
    except ValidationError as error:
        raise CommandError("; ".join(f"--{name}: {' '.join(map(str, what))}" for name, what in errors(error))) from None
    except BrokenPipeError:
        # whoever read has seen enough, and there is no use in flushing what is left
        sys.stdout = open(os.devnull, "w")  # noqa: SIM115, PTH123  # it is to stay open
        return
    except (Refusal, Bent, DatabaseError, OSError) as error:
        raise CommandError(f"The trail was not exported: {error}") from error
    command.stderr.write(f"{export.count} entries exported")


def given(options: Mapping[str, Any]) -> dict[str, Any]:
    return {name: options[name] for name in FILTERS if options[name] is not None}


def errors(error: ValidationError) -> list[tuple[str, list[Any]]]:
    return list(cast(dict[str, list[Any]], error.detail).items())


@contextmanager
def destination(path: Path | None) -> Iterator[IO[bytes]]:
    """Where lines go. A file is there when it is whole, and readable by its owner alone."""
    if path is None:
        yield sys.stdout.buffer
        sys.stdout.buffer.flush()
        return
    part = path.with_name(path.name + ".part")
    part.unlink(missing_ok=True)
    try:
        with open(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:  # noqa: PTH123
            if path.suffix == ".gz":
                with gzip.GzipFile(fileobj=file, mode="wb", filename=path.stem) as packed:
                    yield cast(IO[bytes], packed)
            else:
                yield file
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)
