"""What stops a start: a provider that rules name and that cannot work as it is configured."""

from typing import Any

from django.conf import settings
from django.core.checks import CheckMessage, Error

from encryption_app.errors import BadProvider
from encryption_app.policy import OFF
from encryption_app.services import service_of

TAG = "encryption"
"""Commands that serve run these checks, too, and no others."""


def check_providers(**options: Any) -> list[CheckMessage]:
    """An error for each provider of the setting ENCRYPT that cannot be made. For Django's system checks."""
    found: list[CheckMessage] = []
    for name in sorted({rule.provider for rule in settings.ENCRYPT} - {OFF}):
        try:
            service_of(name).provider()
        except BadProvider as error:
            found.append(Error(f"ENCRYPT names the key provider {name}: {error}.", id="encryption_app.E001"))
    return found
