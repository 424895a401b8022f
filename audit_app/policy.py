"""How much the trail keeps of what, by rules in order, like the audit levels of Kubernetes (setting AUDIT_POLICY)."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache

from django.conf import settings

from audit_app.queues import SECURITY_FAMILIES, Queue, queue_of

KNOWN_ACTIONS = 1024
"""Of how many actions the rules that may apply are remembered: clients can make up names."""


class Level(StrEnum):
    """How much is kept: all, all but the `details`, nothing."""

    FULL = "full"
    METADATA = "metadata"
    OFF = "off"


@dataclass(frozen=True, slots=True)
class Glob:
    """A text, or with a `*` at its end every text that begins with what stands before it."""

    text: str

    def matches(self, text: str) -> bool:
        if self.text.endswith("*"):
            return text.startswith(self.text[:-1])
        return text == self.text


@dataclass(frozen=True, slots=True)
class Rule:
    """A level for methods, and with a `uri` only for what they do to matching resources."""

    method: Glob
    uri: Glob | None
    level: Level

    def __str__(self) -> str:
        uri = f"@{self.uri.text}" if self.uri else ""
        return f"{self.method.text}{uri}={self.level}"


def parse_rule(text: str) -> Rule:
    """A rule from `method-pattern[@uri-pattern]=full|metadata|off`.

    Raises ValueError for another text, and for a rule that would keep less than everything of a family whose entries
    belong to the queue security.
    """
    patterns, equals, level = text.rpartition("=")
    method, at, uri = patterns.partition("@")
    method, uri = method.strip(), uri.strip()
    if not equals or not method or (at and not uri) or any("*" in glob[:-1] for glob in (method, uri)):
        raise ValueError(text)
    rule = Rule(Glob(method), Glob(uri) if at else None, Level(level.strip()))
    if rule.level is not Level.FULL and _names_security(method):
        raise ValueError(text)
    return rule


def _names_security(method: str) -> bool:
    """Whether a pattern can match nothing but methods whose entries are for security."""
    family, slash, _ = method.partition("/")
    return family in SECURITY_FAMILIES if slash else method in SECURITY_FAMILIES


def level_of(action: str, resource: str, code: str | None = None) -> Level:
    """What is kept of an entry: by the first rule that matches; without one, everything.

    Entries of the queue security are kept whole, whatever the rules say.
    """
    rules: Sequence[Rule] = settings.AUDIT_POLICY
    if not rules or queue_of(action, code) is Queue.SECURITY:
        return Level.FULL
    for rule in _rules_for(tuple(rules), action):
        if rule.uri is None or rule.uri.matches(resource):
            return rule.level
    return Level.FULL


@lru_cache(KNOWN_ACTIONS)
def _rules_for(rules: tuple[Rule, ...], action: str) -> tuple[Rule, ...]:
    """The rules that may decide on an action, up to the first that decides whatever the resource is."""
    found = []
    for rule in rules:
        if rule.method.matches(action):
            found.append(rule)
            if rule.uri is None:
                break
    return tuple(found)
