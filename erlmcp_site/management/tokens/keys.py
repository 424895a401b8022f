"""Print each key with what it does."""

from collections.abc import Mapping
from typing import Any

from django.core.management.base import BaseCommand, CommandParser
from django.utils.timezone import now

from sessions_app.models import SigningKey
from sessions_app.queries import signing_keys


def add_arguments(parser: CommandParser) -> None:
    """It takes none."""


def run(command: BaseCommand, options: Mapping[str, Any]) -> None:
    keys = signing_keys()
    signs = next((key.kid for key in keys if key.retired_at is None or key.retired_at > now()), None)
    for key in keys:
        command.stdout.write(f"{key.kid}  {key.algorithm}  {key.created_at:%Y-%m-%d %H:%M:%S}  {_does(key, signs)}")


def _does(key: SigningKey, signs: str | None) -> str:
    if key.kid == signs:
        return "signs"
    if key.retired_at is not None and key.retired_at <= now():
        return f"verifies, retired {key.retired_at:%Y-%m-%d %H:%M:%S}"
    return "published"
