"""Show what is encrypted, by which keys, and how far a re-encryption is."""

import json
from collections.abc import Mapping
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandParser

from encryption_app.queries import key_encryption_keys, wrapped_counts
from encryption_app.runs import Run, last_run


def add_arguments(parser: CommandParser) -> None:
    parser.add_argument("--json", action="store_true", help="for programs")


def run(command: BaseCommand, options: Mapping[str, Any]) -> None:
    status = status_now()
    if options["json"]:
        command.stdout.write(json.dumps(status))
        return
    for rule in status["rules"] or ["nothing is encrypted (ENCRYPT)"]:
        command.stdout.write(f"rule {rule}" if status["rules"] else rule)
    for key in status["keys"]:
        wraps = f"wraps {key['data_keys']} data keys"
        command.stdout.write(f"{key['provider']} {key['key']}: {key['state']}, since {key['created_at']}, {wraps}")
    if status["reencryption"] is not None:
        command.stdout.write(told(status["reencryption"]))


def status_now() -> dict[str, Any]:
    """Rules, key-encryption keys (the current one of each provider first) and the last run. Reads the database."""
    counts = wrapped_counts()
    providers = sorted({rule.provider for rule in settings.ENCRYPT} | {provider for provider, _ in counts})
    keys: list[dict[str, Any]] = []
    for provider in providers:
        is_current = True
        for key in key_encryption_keys(provider):
            state = "destroyed" if key.destroyed_at else "current" if is_current else "retired"
            is_current = is_current and key.destroyed_at is not None
            keys.append(
                {
                    "provider": provider,
                    "key": key.key_id,
                    "state": state,
                    "created_at": key.created_at.isoformat(),
                    "data_keys": counts.get((provider, key.key_id), 0),
                }
            )
    last = last_run()
    return {
        "rules": [str(rule) for rule in settings.ENCRYPT],
        "keys": keys,
        "reencryption": None if last is None else run_as_json(last),
    }


def run_as_json(run: Run) -> dict[str, Any]:
    """How far a run of re-encryption is."""
    return {
        "number": run.number,
        "phase": run.phase,
        "data_keys": run.data_keys,
        "resources": run.resources,
        "events": run.events,
    }


def told(run: Mapping[str, Any]) -> str:
    """The same for people."""
    return (
        f"re-encryption {run['number']}: {run['phase']}; changed so far: "
        f"{run['data_keys']} data keys, {run['resources']} resources, {run['events']} events"
    )
