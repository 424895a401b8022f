"""What is encrypted, and under whose key: rules by URI. Pure, but for the setting ENCRYPT that holds them."""

from collections.abc import Sequence
from dataclasses import dataclass

from django.conf import settings

OFF = "off"
STRICT = ":only"
"""What stands behind a provider where a rule is strict."""

SESSIONS = "sessions/"
"""The target of the rule for sessions, each user's of which are a subject below it; URIs have a scheme."""


@dataclass(frozen=True, slots=True)
class Rule:
    """What a subject, or everything below a prefix that ends in "/", is encrypted by: a provider, or OFF for nobody.

    A subject is a URI, or the sessions of a user. Where a rule is strict, what is no envelope is not taken for one that
    was written before the rule.
    """

    target: str
    provider: str
    is_strict: bool = False

    @property
    def is_prefix(self) -> bool:
        return self.target.endswith("/")

    def covers(self, subject: str) -> bool:
        if self.is_prefix:
            return subject.startswith(self.target) and subject != self.target
        return subject == self.target

    def __str__(self) -> str:
        named = SESSIONS.rstrip("/") if self.target == SESSIONS else f"{self.target}{'*' if self.is_prefix else ''}"
        return f"{named}={self.provider}{STRICT if self.is_strict else ''}"


def arranged(rules: Sequence[Rule]) -> tuple[Rule, ...]:
    """The rules in the order in which they are asked: an exact one first, then the longest prefix."""
    return tuple(sorted(rules, key=lambda rule: (rule.is_prefix, -len(rule.target))))


def provider_of(subject: str) -> str | None:
    """The name of the provider that a subject is encrypted by, None when it is not."""
    rule = _rule_of(subject)
    return None if rule is None or rule.provider == OFF else rule.provider


def forbids_plain(subject: str) -> bool:
    """Whether what is kept of a subject is nothing but envelopes, by what the operator says."""
    rule = _rule_of(subject)
    return rule is not None and rule.is_strict


def _rule_of(subject: str) -> Rule | None:
    rules: Sequence[Rule] = settings.ENCRYPT
    for rule in rules:
        if rule.covers(subject):
            return rule
    return None
