"""A node that encrypts what lies below one prefix, by a keyring of its own for every test."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from pytest_django import Settings

from encryption_app.data_keys import data_keys
from encryption_app.policy import Rule
from encryption_app.services import service_of
from resources_app.hub.hub import hub
from tests.sessions.conftest import running, users

__all__ = ["running", "users"]

PREFIX = "resource://vault.example/"
URI = f"{PREFIX}a"
OTHER = f"{PREFIX}b"
PLAIN = "resource://plain.example/a"
CANARY = "canary-4c1f9a"


@pytest.fixture(autouse=True)
def encrypting(settings: Settings, tmp_path: Path) -> Iterator[None]:
    """What lies below PREFIX is encrypted by the provider `local`."""
    settings.ENCRYPT = (Rule(PREFIX, "local"),)
    settings.ENCRYPTION_KEYRING = tmp_path / "keyring.json"
    forget()
    yield
    forget()


def forget() -> None:
    """Hold no key, and know nothing of providers, as a process that starts."""
    data_keys.held.clear()
    service_of.cache_clear()


def start_over() -> None:
    """As a process that starts: nothing is held, and nothing cached."""
    forget()
    hub.cache.clear()
