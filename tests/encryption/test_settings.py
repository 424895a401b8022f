"""A rule or a provider that cannot work stops the start, by name."""

from pathlib import Path

import pytest
from django.core.exceptions import ImproperlyConfigured
from django.core.management import call_command
from django.core.management.base import SystemCheckError
from pytest_django import Settings

from encryption_app.checks import check_providers
from encryption_app.policy import SESSIONS, Rule, forbids_plain, provider_of
from encryption_app.services import service_of
from erlmcp_site.environment import effective_settings, env_encryption


def rules(monkeypatch: pytest.MonkeyPatch, text: str) -> tuple[Rule, ...]:
    monkeypatch.setenv("ENCRYPT", text)
    return env_encryption("ENCRYPT")


def test_the_closest_rule_counts(monkeypatch: pytest.MonkeyPatch, settings: Settings) -> None:
    settings.ENCRYPT = rules(
        monkeypatch,
        "resource://a.example/*=local, resource://A.example/open/*=off, resource://a.example/open/but=vault",
    )
    wanted = {
        "resource://a.example/x": "local",
        "resource://a.example/open": "local",
        "resource://a.example/open/x": None,
        "resource://a.example/open/but": "vault",
        "resource://a.example/open/but/x": None,
        "resource://b.example/x": None,
    }
    assert {uri: provider_of(uri) for uri in wanted} == wanted


def test_sessions_have_a_rule_of_their_own_and_rules_may_be_strict(
    monkeypatch: pytest.MonkeyPatch, settings: Settings
) -> None:
    text = "resource://a.example/*=local:only,resource://a.example/open/*=vault,sessions=aws:only"
    settings.ENCRYPT = rules(monkeypatch, text)
    assert {str(rule) for rule in settings.ENCRYPT} == set(text.split(","))
    wanted = {
        "resource://a.example/x": ("local", True),
        "resource://a.example/open/x": ("vault", False),
        "resource://b.example/x": (None, False),
        f"{SESSIONS}7": ("aws", True),
    }
    assert {subject: (provider_of(subject), forbids_plain(subject)) for subject in wanted} == wanted


@pytest.mark.parametrize(
    "text",
    [
        "resource://a.example/*=off:only",
        "resource://a.example/*=local:",
        "sessions/*=local",
        "sessions=local,sessions=off",
        "resource://a.example/*",
        "resource://a.example/*=",
        "resource://a.example/*=nobody",
        "resource://a.example/+=local",
        "a=local",
        "=local",
        "resource://a.example/../*=local",
        "resource://a.example/*=local,resource://a.example/*=off",
    ],
)
def test_a_rule_that_cannot_be_read_is_named(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    with pytest.raises(ImproperlyConfigured, match="ENCRYPT"):
        rules(monkeypatch, text)


@pytest.mark.parametrize(("provider", "says"), [("vault", "VAULT_ADDR"), ("pkcs11", "PKCS11_MODULE")])
def test_a_provider_that_is_not_configured_stops_the_start(settings: Settings, provider: str, says: str) -> None:
    settings.ENCRYPT = (Rule("resource://a.example/", provider), Rule("resource://a.example/open/", "off"))
    (error,) = check_providers()
    assert provider in str(error.msg) and says in str(error.msg) and "ENCRYPT" in str(error.msg)


def test_a_keyring_that_others_may_read_stops_the_start(settings: Settings) -> None:
    keyring: Path = settings.ENCRYPTION_KEYRING
    assert check_providers() == []
    keyring.write_text('{"format": 1, "keys": {}}')
    keyring.chmod(0o644)
    service_of.cache_clear()
    (error,) = check_providers()
    assert "chmod 600" in str(error.msg)


@pytest.mark.parametrize("command", ["serve", "web"])
def test_what_serves_does_not_start_with_a_keyring_that_is_none(settings: Settings, command: str) -> None:
    keyring: Path = settings.ENCRYPTION_KEYRING
    keyring.write_text('{"format": 1, "ke')
    keyring.chmod(0o600)
    service_of.cache_clear()
    with pytest.raises(SystemCheckError, match="no keyring"):
        # no address of this machine
        call_command(command, "--host", "203.0.113.1", skip_checks=False)


def test_secrets_of_providers_are_not_shown() -> None:
    shown = effective_settings()
    assert (shown["PKCS11_PIN"], shown["VAULT_TOKEN"]) == ("…", "…")
