"""May a caller do something there, and why (docs/access.md)."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

from resources_app.patterns import Pattern
from resources_app.uris import END
from sessions_app.access.index import Index, Principals, Span
from sessions_app.access.rules import EVERYTHING, Effect, Rule, Verb


class Rights(Protocol):
    """What decisions need to know of a caller.

    `permissions` are those of the contract that its user has by groups, less what `scopes` leave out; `scopes` are
    None where a token is not narrowed.
    """

    @property
    def principals(self) -> Principals: ...
    @property
    def permissions(self) -> frozenset[str]: ...
    @property
    def scopes(self) -> frozenset[str] | None: ...
    @property
    def is_superuser(self) -> bool: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class UserRights:
    """The rights of a user, whatever token it shows."""

    principals: Principals
    permissions: frozenset[str]
    is_superuser: bool
    scopes: frozenset[str] | None = None


class Why(StrEnum):
    """What a verdict rests on."""

    SCOPE = "scope"
    SUPERUSER = "superuser"
    RULE = "rule"
    PERMISSION = "permission"
    NOTHING = "nothing"


@dataclass(frozen=True, slots=True)
class Verdict:
    """Whether something is allowed; `rule` is the rule that decides, where one does."""

    allowed: bool
    why: Why
    rule: Rule | None = None


def may(index: Index, rights: Rights, verb: Verb, target: str | Pattern) -> bool:
    """Whether a caller may do something to a (normalised) URI, or to all that a pattern covers."""
    if not isinstance(target, str):
        return explain(index, rights, verb, target).allowed
    if _is_out_of_scope(rights, verb):
        return False
    if rights.is_superuser:
        return True
    rule = index.deciding(rights.principals, verb, target)
    return verb.permission in rights.permissions if rule is None else rule.effect is Effect.ALLOW


def explain(index: Index, rights: Rights, verb: Verb, target: Pattern) -> Verdict:
    """The same, with what it rests on. A permission counts as a rule on `*` that allows.

    A pattern is allowed where the most specific rule that holds for all of it allows, and none denies a part of it.
    """
    if _is_out_of_scope(rights, verb):
        return Verdict(False, Why.SCOPE)
    if rights.is_superuser:
        return Verdict(True, Why.SUPERUSER)
    rule = index.covering(rights.principals, verb, target)
    if rule is not None and rule.effect is Effect.DENY:
        return Verdict(False, Why.RULE, rule)
    if rule is None and verb.permission not in rights.permissions:
        return Verdict(False, Why.NOTHING)
    denial = index.narrower_denial(rights.principals, verb, target)
    if denial is not None:
        return Verdict(False, Why.RULE, denial)
    return Verdict(True, Why.PERMISSION if rule is None else Why.RULE, rule)


def readable_spans(index: Index, rights: Rights) -> list[Span]:
    """Where there may be something that a caller may read; nothing else is."""
    verb = Verb.READ
    if _is_out_of_scope(rights, verb):
        return []
    if rights.is_superuser or verb.permission in rights.permissions:
        return [("", END)]
    return index.spans(rights.principals, verb)


def may_anywhere(index: Index, rights: Rights, verb: Verb) -> bool:
    """Whether a caller may do something to everything, or some rule allows it somewhere."""
    if may(index, rights, verb, EVERYTHING):
        return True
    if _is_out_of_scope(rights, verb):
        return False
    return any(verb in rule.verbs and rule.effect is Effect.ALLOW for rule in index.of_principals(rights.principals))


def _is_out_of_scope(rights: Rights, verb: Verb) -> bool:
    return rights.scopes is not None and verb.permission not in rights.scopes
