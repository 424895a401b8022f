"""Scopes: names of permissions that narrow a token or an API key below what its user may (RFC 6749 §3.3).

None stands for a token that is not narrowed. What a scope names beyond the user's rights, it does not give.
"""

from collections.abc import Mapping, Set
from typing import Any

from sessions_app.permissions import ALL

Scopes = frozenset[str] | None


def parse_scope(text: str) -> frozenset[str]:
    """The scopes in a text, in which blanks stand between them. Raises ValueError for none, and for unknown ones."""
    scopes = frozenset(text.split())
    if not scopes or not scopes <= ALL:
        raise ValueError("A scope is one or more of: " + ", ".join(sorted(ALL)) + ".")
    return scopes


def kept_scope(text: str) -> Scopes:
    """The scopes in a text of our own, "" for a token that is not narrowed; names that are no more mean nothing."""
    return frozenset(text.split()) if text else None


def claimed_scope(claims: Mapping[str, Any]) -> Scopes:
    """The scopes that a token claims (RFC 9068 §2.2.3). Raises ValueError for a claim that is no text."""
    if "scope" not in claims:
        return None
    if not isinstance(claims["scope"], str):
        raise ValueError("the claim scope is no text")
    return frozenset(claims["scope"].split())


def scope_text(scopes: Set[str] | None) -> str:
    """The text of scopes, as `kept_scope` reads it."""
    return " ".join(sorted(scopes or ()))


def narrowed(permissions: frozenset[str], scopes: Scopes) -> frozenset[str]:
    """What is left of a user's permissions."""
    return permissions if scopes is None else permissions & scopes
