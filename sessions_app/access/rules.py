"""Access rules: to whom, where and for what something is allowed or denied (docs/access.md)."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from functools import cached_property
from typing import Any

from resources_app.patterns import Pattern, Reach, parse_pattern

EVERYONE = "everyone"
EVERYTHING = Pattern("", Reach.BELOW)
"""The pattern that covers every URI, written `*`."""

GRANTED = "access.granted"
REVOKED = "access.revoked"
"""The kinds of the control events of rules, which carry the rule."""


class Verb(StrEnum):
    """What may be done to a resource; `admin` is granting and revoking there."""

    READ = "read"
    WRITE = "write"
    DELETE = "delete"
    SUBSCRIBE = "subscribe"
    ADMIN = "admin"

    @cached_property
    def permission(self) -> str:
        """The permission that stands for this verb everywhere; a scope of a token names it as well."""
        return "access:admin" if self is Verb.ADMIN else f"resources:{self.value}"


OF_PERMISSION = {verb.permission: verb for verb in Verb}


class Effect(StrEnum):
    """What a rule does."""

    ALLOW = "allow"
    DENY = "deny"


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """One rule. `principal` is "user:<id>", "group:<id>" or "everyone"; `created_by` is the name of a user."""

    id: str
    principal: str
    pattern: Pattern
    verbs: frozenset[Verb]
    effect: Effect
    created_by: str
    created_at: datetime
    expires_at: datetime | None = None

    def has_expired(self, at: datetime) -> bool:
        return self.expires_at is not None and self.expires_at <= at

    def dumped(self) -> dict[str, Any]:
        """The rule as the log keeps it."""
        return {
            "id": self.id,
            "principal": self.principal,
            "pattern": str(self.pattern),
            "verbs": verbs_text(self.verbs),
            "effect": self.effect.value,
            "created_by": self.created_by,
            "created_at": self.created_at.isoformat(),
            "expires_at": self.expires_at.isoformat() if self.expires_at is not None else None,
        }

    @classmethod
    def loaded(cls, kept: Mapping[str, Any]) -> "Rule":
        """A rule that was kept."""
        return cls(
            id=kept["id"],
            principal=kept["principal"],
            pattern=parse_area(kept["pattern"]),
            verbs=verbs_of(kept["verbs"]),
            effect=Effect(kept["effect"]),
            created_by=kept["created_by"],
            created_at=datetime.fromisoformat(kept["created_at"]),
            expires_at=datetime.fromisoformat(kept["expires_at"]) if kept["expires_at"] else None,
        )


def user_principal(id: object) -> str:
    """A user as a principal."""
    return f"user:{id}"


def group_principal(id: object) -> str:
    """A group as a principal."""
    return f"group:{id}"


def parse_area(text: str) -> Pattern:
    """Where a rule holds: a URI, a pattern, or `*`. Raises InvalidUri."""
    return EVERYTHING if text == "*" else parse_pattern(text)


def verbs_text(verbs: frozenset[Verb]) -> str:
    """Verbs as a row keeps them, in their usual order."""
    return ",".join(verb.value for verb in Verb if verb in verbs)


def verbs_of(text: str) -> frozenset[Verb]:
    """The verbs in the text of a row."""
    return frozenset(Verb(name) for name in text.split(","))


def specificity(pattern: Pattern) -> tuple[bool, int, bool]:
    """What orders the patterns that cover one URI, the most specific last."""
    return pattern.is_exact, len(pattern.prefix), pattern.reach is Reach.LEVEL


def lies_within(inner: Pattern, outer: Pattern) -> bool:
    """Whether everything that `inner` covers, `outer` covers too."""
    if inner.is_exact:
        return outer.covers(inner.prefix)
    if outer.reach is Reach.BELOW:
        return inner.prefix.startswith(outer.prefix)
    return inner == outer
