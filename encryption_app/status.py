"""What is encrypted, by which keys, and how far a re-encryption is."""

from typing import Any

from django.conf import settings

from encryption_app.queries import key_encryption_keys, wrapped_counts
from encryption_app.runs import Run, last_run


def status() -> dict[str, Any]:
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
        **run.counts,
        "failures": run.told,
    }
