"""Show what is encrypted, by which keys, and how far a re-encryption is."""

import json
from collections.abc import Mapping
from typing import Any

from django.core.management.base import BaseCommand, CommandParser

from encryption_app.status import status


def add_arguments(parser: CommandParser) -> None:
    parser.add_argument("--json", action="store_true", help="for programs")


def run(command: BaseCommand, options: Mapping[str, Any]) -> None:
    now = status()
    if options["json"]:
        command.stdout.write(json.dumps(now))
        return
    for rule in now["rules"] or ["nothing is encrypted (ENCRYPT)"]:
        command.stdout.write(f"rule {rule}" if now["rules"] else rule)
    for key in now["keys"]:
        wraps = f"wraps {key['data_keys']} data keys"
        command.stdout.write(f"{key['provider']} {key['key']}: {key['state']}, since {key['created_at']}, {wraps}")
    if now["reencryption"] is not None:
        command.stdout.write(told(now["reencryption"]))
        for line in told_failures(now["reencryption"]):
            command.stdout.write(line)


def told(run: Mapping[str, Any]) -> str:
    """How far a run of re-encryption is, for people."""
    return (
        f"re-encryption {run['number']}: {run['phase']}; changed so far: "
        f"{run['data_keys']} data keys, {run['resources']} resources, {run['events']} events, "
        f"{run['sessions']} sessions"
    )


def told_failures(run: Mapping[str, Any]) -> list[str]:
    """What a run could not re-encrypt, and why, for people; nothing, when there is nothing of that."""
    if not run["failed"]:
        return []
    lines = [f"{run['failed']} could not be re-encrypted, and are kept as they were:"]
    lines += [f"  {failure['what']} {failure['subject']}: {failure['why']}" for failure in run["failures"]]
    if more := run["failed"] - len(run["failures"]):
        lines.append(f"  and {more} more")
    return lines
