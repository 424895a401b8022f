"""Outside issuers whose tokens are good here, as the setting TRUSTED_ISSUERS says: a JSON list of objects."""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any
from urllib.parse import urlsplit

ALGORITHMS = frozenset({"RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA"})
"""All that are asymmetric: with a shared secret, whoever verifies could sign as well."""

LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})
MAX_ISSUERS = 16
PREFIX = re.compile(r"[\w.@+-]{0,64}")


class BadIssuer(ValueError):
    """What is wrong with TRUSTED_ISSUERS."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Issuer:
    """One issuer.

    `types` are the header `typ` that its tokens may have; `user_claim` names the user, whose name here begins with
    `prefix`. With a `groups_claim`, `groups` says which of its groups makes members of which of ours; users stay
    members of our other groups. `create_users`: users that are not there yet are made. `scopes`: the claim `scope`
    narrows, and a token without it may do nothing.
    """

    issuer: str
    jwks_url: str
    audience: str
    algorithms: tuple[str, ...]
    types: tuple[str, ...] = ("at+jwt",)
    user_claim: str = "sub"
    prefix: str = ""
    groups_claim: str = ""
    groups: Mapping[str, str] = field(default_factory=dict)
    create_users: bool = False
    scopes: bool = False


def parse_issuers(text: str) -> dict[str, Issuer]:
    """The issuers in a text, by their names. Raises BadIssuer."""
    if not text:
        return {}
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        raise BadIssuer("it is no JSON") from None
    if not isinstance(found, list) or len(found) > MAX_ISSUERS:
        raise BadIssuer(f"it is no list of at most {MAX_ISSUERS} issuers")
    issuers = [_issuer(one) for one in found]
    by_name = {issuer.issuer: issuer for issuer in issuers}
    if len(by_name) != len(issuers):
        raise BadIssuer("it names an issuer twice")
    return by_name


def _issuer(found: Any) -> Issuer:
    if not isinstance(found, dict):
        raise BadIssuer("an issuer is an object")
    known = {one.name: one for one in fields(Issuer)}
    unknown = found.keys() - known.keys()
    missing = {"issuer", "jwks_url", "audience", "algorithms"} - found.keys()
    if unknown or missing:
        raise BadIssuer(f"an issuer {'has no ' + min(missing) if missing else 'knows no ' + min(unknown)}")
    for name in ("algorithms", "types"):
        if name in found:
            found[name] = _texts(name, found[name])
    for name, value in found.items():
        if name in {"create_users", "scopes"}:
            _check(isinstance(value, bool), f"{name} is true or false")
        elif name == "groups":
            is_right = isinstance(value, dict) and all(isinstance(ours, str) and ours for ours in value.values())
            _check(is_right, "groups maps their groups to ours")
        elif name not in {"algorithms", "types"}:
            _check(isinstance(value, str) and (bool(value) or name in {"prefix", "groups_claim"}), f"{name} is a text")
    issuer = Issuer(**found)
    _check(ALGORITHMS.issuperset(issuer.algorithms), f"algorithms are among {', '.join(sorted(ALGORITHMS))}")
    _check(_is_safe(issuer.jwks_url), "jwks_url is an https URL, or http on this machine, without a password")
    _check(PREFIX.fullmatch(issuer.prefix) is not None, "prefix has letters, digits and @ . + - _")
    _check(not issuer.groups or bool(issuer.groups_claim), "groups need a groups_claim")
    return issuer


def _texts(name: str, value: Any) -> tuple[str, ...]:
    _check(
        isinstance(value, list) and bool(value) and all(isinstance(one, str) and one for one in value),
        f"{name} is a list of texts",
    )
    return tuple(value)


def _is_safe(url: str) -> bool:
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname, parts.port
    except ValueError:
        return False
    return (
        bool(host)
        and "@" not in parts.netloc
        and (parts.scheme == "https" or (parts.scheme == "http" and host in LOOPBACK))
    )


def _check(is_right: bool, rule: str) -> None:
    if not is_right:
        raise BadIssuer(rule)
