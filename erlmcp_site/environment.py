"""Reading settings from the environment; a wrong value stops the start and names its variable."""

import os
import re
import secrets
import ssl
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Network, ip_network
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import unquote, urlsplit

import environ
from django.core.exceptions import ImproperlyConfigured

from audit_app.policy import Rule, parse_rule
from audit_app.redaction import DEFAULT, Redaction, parse_redaction
from audit_app.sinks.configuration import BadSink, Target, parse_sinks
from encryption_app import policy as encryption
from encryption_app.providers import PROVIDERS
from resources_app.errors import InvalidUri
from resources_app.patterns import Reach, parse_pattern
from sessions_app.issuers.configuration import BadIssuer, Issuer, parse_issuers
from telemetry_app.collectors import PROTOCOLS, Own
from telemetry_app.exporters.configuration import BadReceiver, Graphite, parse_graphite

T = TypeVar("T")

PERIODS = {"s": 1, "m": 60, "h": 3600, "d": 86400}
SECRET_ENDINGS = ("_KEY", "_SECRET", "_PASSWORD", "_TOKEN", "_PIN", "_HEADERS")
_PAIR_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*", re.ASCII)
_HEADER = re.compile(r"[!#-\[\]-~]+", re.ASCII)
MOST_SECONDS = 100 * 366 * 86400


@dataclass(frozen=True, slots=True)
class Rate:
    """At most `amount` in any `seconds`."""

    amount: int
    seconds: int


@dataclass(frozen=True, slots=True)
class Retention:
    """At most so many events, none older than so many seconds; None: no limit of that kind."""

    events: int | None
    seconds: int | None


def env_string(name: str, default: str = "") -> str:
    """The variable without blanks around it; the default also when it is set to nothing."""
    text = os.environ.get(name, "").strip() or default
    _effective[name] = (text, default)
    return text


_effective: dict[str, tuple[str, str]] = {}
"""(effective text, default text) of every variable that has been read, by name."""


def effective_settings() -> dict[str, str]:
    """The texts of all variables that the settings have read, by name, without the secrets that they may hold."""
    return {
        name: "…" if name.endswith(SECRET_ENDINGS) else _shown(text) for name, (text, _) in sorted(_effective.items())
    }


def changed_settings() -> list[str]:
    """The names of the variables whose value is not the default."""
    return sorted(name for name, (text, default) in _effective.items() if text != default)


def env_bool(name: str, default: str) -> bool:
    return _parsed(name, default, _bool, "must be one of 1, 0, true, false, yes, no, on, off")


def env_int(name: str, default: str, *, least: int = 0, most: int = 2**53) -> int:
    """A whole number from `least` to `most`."""
    return _parsed(name, default, _within(int, least, most), f"must be a whole number from {least} to {most}")


def env_seconds(name: str, default: str, *, least: float = 0.0, most: float = 10 * 366 * 86400.0) -> float:
    """A time in seconds; fractions are allowed."""
    return _parsed(name, default, _within(float, least, most), f"must be seconds, from {least:g} to {most:g}")


def env_ratio(name: str, default: str) -> float:
    """A share, from 0 to 1."""
    return _parsed(name, default, _within(float, 0.0, 1.0), "must be a number from 0 to 1")


def env_port(name: str, default: str) -> int:
    """A TCP port."""
    return env_int(name, default, least=1, most=65535)


def env_optional_port(name: str, default: str) -> int | None:
    """A TCP port, or None when the variable is set to nothing."""
    if os.environ.get(name, default).strip() == "":
        _effective[name] = ("", default)
        return None
    return env_port(name, default)


def env_choice(name: str, default: str, choices: Sequence[str]) -> str:
    return _parsed(name, default, _one_of(choices), f"must be one of {', '.join(choices)}")


def env_optional_choice(name: str, choices: Sequence[str]) -> str:
    """One of the choices, or nothing."""
    return env_choice(name, "", choices) if env_string(name) else ""


def env_list(name: str, default: str = "") -> list[str]:
    """Values separated by commas."""
    return [part.strip() for part in env_string(name, default).split(",") if part.strip()]


def env_rate(name: str, default: str) -> Rate:
    """A number a period: 1000/s, 10/m, 5/h, 100/d, or 30/10s."""
    return _parsed(name, default, _rate, "must be a number a period, such as 1000/s, 10/m or 30/10s")


def env_optional_rate(name: str) -> Rate | None:
    """The same, or None when nothing is set."""
    return env_rate(name, "") if env_string(name) else None


def env_retention(name: str) -> dict[str, Retention]:
    """Rules by prefix: how many events are kept of what lies below it, and for how long."""
    rule = "must be prefix=events/age, such as resource://host/path/=1000/7d, with 0 for no limit"
    rules = [_parse(name, text, _retention, rule) for text in env_list(name)]
    if len(dict(rules)) != len(rules):
        raise ImproperlyConfigured(f"{name} has two rules for one prefix.")
    return dict(rules)


def env_policy(name: str) -> tuple[Rule, ...]:
    """Rules of the audit trail, in order."""
    rule = "must be rules such as resources/read@resource://host/*=metadata, and cannot keep less of what is security's"
    return tuple(_parse(name, text, parse_rule, rule) for text in env_list(name))


def env_redaction(name: str) -> Redaction:
    """What is left out of audit entries and log lines."""
    return _parsed(name, DEFAULT, parse_redaction, "must be names of fields, with * for anything, or /patterns/")


def env_encryption(name: str) -> tuple[encryption.Rule, ...]:
    """Rules of what is encrypted and by which provider, the closest first."""
    rule = (
        "must be rules such as resource://host/path/*=local: a URI, one that ends in /*, or sessions, and one of "
        f"{', '.join(PROVIDERS)}, {encryption.OFF}, maybe with {encryption.STRICT} behind a provider"
    )
    rules = [_parse(name, text, _encryption, rule) for text in env_list(name)]
    if len({rule.target for rule in rules}) != len(rules):
        raise ImproperlyConfigured(f"{name} has two rules for one URI.")
    return encryption.arranged(rules)


def env_origins(name: str) -> list[str]:
    """Web origins: scheme://host[:port], separated by commas."""
    return [
        _parse(name, origin, _origin, "must be origins such as https://app.example.com") for origin in env_list(name)
    ]


def env_networks(name: str) -> list[IPv4Network | IPv6Network]:
    """IP addresses or networks, separated by commas."""
    return [
        _parse(name, text, ip_network, "must be addresses or networks such as 10.0.0.0/8") for text in env_list(name)
    ]


def env_url(name: str, schemes: Sequence[str], default: str = "") -> str:
    """A URL of one of the schemes, or nothing."""
    text = env_string(name, default)
    return _parse(name, text, _url(schemes), f"must be a URL that starts with {' or '.join(schemes)}") if text else ""


def env_resource(name: str) -> str:
    """The URL of a protected resource (RFC 8707), or nothing."""
    rule = "must be a URL such as https://hub.example.com/mcp, without a query, a fragment or a user"
    text = env_string(name)
    return _parse(name, text, _resource, rule) if text else ""


def env_pairs(name: str) -> dict[str, str]:
    """`name=value` pairs separated by commas, percent-encoded, as OpenTelemetry has them; never shown: they may be
    secret."""
    pairs = [text.partition("=")[::2] for text in env_list(name)]
    told = {key.strip(): unquote(value.strip()) for key, value in pairs}
    if not all("=" in text for text in env_list(name)) or not all(
        _PAIR_NAME.fullmatch(key) and value.isprintable() and value.isascii() for key, value in told.items()
    ):
        raise ImproperlyConfigured(f"{name} must be pairs such as name=value,name=value, percent-encoded.")
    return told


def env_certificate(name: str) -> str:
    """A file with certificates of whom to trust, in PEM, or nothing."""
    return _parsed(name, "", _certificate, "must be a file of certificates in PEM")


def env_otlp(prefix: str) -> Own:
    """What is set of one signal of OpenTelemetry alone."""
    return Own(
        endpoint=env_url(f"{prefix}_ENDPOINT", ("http://", "https://")),
        protocol=env_optional_choice(f"{prefix}_PROTOCOL", PROTOCOLS),
        headers=env_pairs(f"{prefix}_HEADERS"),
        milliseconds=env_int(f"{prefix}_TIMEOUT", "0", most=600_000),
        certificate=env_certificate(f"{prefix}_CERTIFICATE"),
    )


def env_sinks(name: str) -> dict[str, Target]:
    """URLs of sinks, separated by commas, by their names. What is wrong with one is told without showing it."""
    try:
        return parse_sinks(env_list(name))
    except BadSink as bad:
        raise ImproperlyConfigured(f"{name}: {bad}.") from None


def env_graphite(name: str, node: str) -> Graphite | None:
    """Where Graphite listens, or None when nothing is set."""
    text = env_string(name)
    try:
        return parse_graphite(text, node) if text else None
    except BadReceiver as bad:
        raise ImproperlyConfigured(f"{name} {bad}.") from None


def env_issuers(name: str) -> dict[str, Issuer]:
    """Outside issuers, as a JSON list of objects, by their names."""
    try:
        return parse_issuers(env_string(name))
    except BadIssuer as bad:
        raise ImproperlyConfigured(f"{name} must be a JSON list of issuers; {bad}.") from None


def env_database(name: str) -> dict[str, Any] | None:
    """A database as Django configures it, from sqlite:///path or postgres://user:password@host:port/name, or None."""
    text = env_string(name)
    rule = "must be sqlite:///path or postgres://user:password@host:port/name"
    return _parse(name, text, _database, rule) if text else None


def secret_in(folder: Path) -> str:
    """The secret that this folder keeps; made, readable only by the owner, when there is none yet."""
    path = folder / "secret_key"
    folder.mkdir(parents=True, exist_ok=True)
    if not path.exists():
        fresh = folder / f".secret_key.{os.getpid()}"
        descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "w") as file:
            file.write(secrets.token_urlsafe(50))
        try:
            os.link(fresh, path)
        except FileExistsError:
            pass
        finally:
            fresh.unlink()
    return path.read_text().strip()


def _parsed(name: str, default: str, parse: Callable[[str], T], rule: str) -> T:
    return _parse(name, env_string(name, default), parse, rule)


def _parse(name: str, text: str, parse: Callable[[str], T], rule: str) -> T:
    try:
        return parse(text)
    except (ValueError, ImproperlyConfigured):
        raise ImproperlyConfigured(f"{name} {rule}; it is {_shown(text)!r}.") from None


def _shown(text: str) -> str:
    """The text without a password that it may hold."""
    return re.sub(r"(?<=:)[^:@/]*(?=@)", "…", text)


def _bool(text: str) -> bool:
    lower = text.lower()
    if lower in {"1", "true", "yes", "on"}:
        return True
    if lower in {"0", "false", "no", "off"}:
        return False
    raise ValueError(text)


def _within(kind: Callable[[str], T], least: T, most: T) -> Callable[[str], T]:
    def parse(text: str) -> T:
        number = kind(text)
        if not least <= number <= most:  # type: ignore[operator]  # int or float, which T cannot say
            raise ValueError(text)
        return number

    return parse


def _one_of(choices: Sequence[str]) -> Callable[[str], str]:
    def parse(text: str) -> str:
        if text not in choices:
            raise ValueError(text)
        return text

    return parse


def _rate(text: str) -> Rate:
    match = re.fullmatch(r"([1-9][0-9]{0,8})/([1-9][0-9]{0,5})?([smhd])", text)
    if match is None:
        raise ValueError(text)
    amount, periods, period = match.groups()
    return Rate(int(amount), int(periods or 1) * PERIODS[period])


def _retention(text: str) -> tuple[str, Retention]:
    match = re.fullmatch(r"(.+/)=([0-9]{1,15})/(?:0|([1-9][0-9]{0,8})([smhd]))", text)
    if match is None:
        raise ValueError(text)
    prefix, events, amount, period = match.groups()
    seconds = int(amount) * PERIODS[period] if amount else None
    try:
        below = parse_pattern(f"{prefix}*")
    except InvalidUri:
        raise ValueError(text) from None
    if seconds is not None and seconds > MOST_SECONDS:
        raise ValueError(text)
    return below.prefix, Retention(int(events) or None, seconds)


def _encryption(text: str) -> encryption.Rule:
    target, found, provider = text.rpartition("=")
    is_strict = provider.endswith(encryption.STRICT)
    provider = provider.removesuffix(encryption.STRICT)
    if not found or provider not in {*PROVIDERS, encryption.OFF} or (is_strict and provider == encryption.OFF):
        raise ValueError(text)
    if f"{target}/" == encryption.SESSIONS:
        return encryption.Rule(encryption.SESSIONS, provider, is_strict)
    try:
        pattern = parse_pattern(target)
    except InvalidUri:
        raise ValueError(text) from None
    if pattern.reach is Reach.LEVEL:
        raise ValueError(text)
    return encryption.Rule(pattern.prefix, provider, is_strict)


def _origin(text: str) -> str:
    parts = urlsplit(text)
    if parts.scheme not in {"http", "https"} or not parts.hostname or text != f"{parts.scheme}://{parts.netloc}":
        raise ValueError(text)
    return text.lower()


def _url(schemes: Sequence[str]) -> Callable[[str], str]:
    def parse(text: str) -> str:
        parts = urlsplit(text)
        if f"{parts.scheme}://" not in schemes or not (parts.netloc or parts.path):
            raise ValueError(text)
        return text

    return parse


def _resource(text: str) -> str:
    parts = urlsplit(text)
    if parts.scheme not in {"http", "https"} or not parts.hostname or "@" in parts.netloc:
        raise ValueError(text)
    if (
        text != f"{parts.scheme}://{parts.netloc}{parts.path}"
        or not parts.path.strip("/")
        or not _HEADER.fullmatch(text)
    ):
        raise ValueError(text)
    return text


def _certificate(text: str) -> str:
    if text:
        try:
            ssl.create_default_context(cafile=text)
        except OSError as error:
            raise ValueError(text) from error
    return text


def _database(text: str) -> dict[str, Any]:
    if not text.startswith(("sqlite:///", "postgres://", "postgresql://")):
        raise ValueError(text)
    config: dict[str, Any] = environ.Env.db_url_config(text)
    if not config["NAME"]:
        raise ValueError(text)
    return config
