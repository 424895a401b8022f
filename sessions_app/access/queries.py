"""Reading rules from the database, and the names that they are told by. Everything here blocks."""

import re
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

from django.contrib.auth.models import Group, User
from django.db.models import Q, QuerySet
from django.utils.timezone import now

from audit_app.bulk import Row
from audit_app.errors import InvalidParams
from resources_app.patterns import Pattern, Reach
from sessions_app.access.decisions import Rights
from sessions_app.access.rules import (
    EVERYONE,
    EVERYTHING,
    Effect,
    Rule,
    Verb,
    group_principal,
    parse_area,
    specificity,
    user_principal,
    verbs_of,
)
from sessions_app.models import AccessRule

COLUMNS = ("id", "user", "group", "pattern", "verbs", "effect", "created_by", "created_at", "expires_at")


def rules_that_hold() -> list[Rule]:
    """All rules but those that have expired."""
    return [rule_of(row) for row in _holding().values_list(*COLUMNS)]


def list_rules(after: str, limit: int) -> list[Rule]:
    """Rules that hold with ids behind `after`, in the order of their ids (that of their creation)."""
    rows = _holding().filter(id__gt=after).order_by("id")
    return [rule_of(row) for row in rows.values_list(*COLUMNS)[:limit]]


def find_rule(id: str) -> Rule | None:
    """A rule, whether it still holds or not."""
    row = AccessRule.objects.filter(id=id).values_list(*COLUMNS).first()
    return rule_of(row) if row is not None else None


def readable(rights: Rights) -> Q:
    """Which rows with a `uri` somebody may read: a condition that says what the rules say, for pages of the admin."""
    if rights.is_superuser:
        return Q()
    nothing = Q(pk__in=[])
    allowed = ~nothing if Verb.READ.permission in rights.permissions else nothing
    rules = [rule for rule in rules_that_hold() if rule.principal in rights.principals and Verb.READ in rule.verbs]
    # a more specific rule, and of equal ones a denying one, has its say after the others
    for rule in sorted(rules, key=lambda rule: (specificity(rule.pattern), rule.effect is Effect.DENY)):
        matching = _matching(rule.pattern)
        allowed = allowed | matching if rule.effect is Effect.ALLOW else allowed & ~matching
    return allowed


def expired_rules(before: datetime, limit: int) -> list[str]:
    """The ids of rules that do not hold any more."""
    rows = AccessRule.objects.filter(expires_at__lte=before)
    return list(rows.order_by("id").values_list("id", flat=True)[:limit])


def find_user(name: str) -> User:
    """Raises InvalidParams for a user who is not there."""
    found = User.objects.filter(username=name).first()
    if found is None:
        raise InvalidParams("There is no such user.", errors={"user": ["There is no such user."]})
    return found


def principal_of(named: Mapping[str, Any]) -> str:
    """The principal that parameters name: a user or a group by name, or everyone. Raises InvalidParams."""
    if "user" in named:
        return user_principal(find_user(named["user"]).pk)
    if "group" in named:
        found = Group.objects.filter(name=named["group"]).first()
        if found is None:
            raise InvalidParams("There is no such group.", errors={"group": ["There is no such group."]})
        return group_principal(found.pk)
    return EVERYONE


def described(rules: Iterable[Rule]) -> list[dict[str, Any]]:
    """Rules as callers see them, with the names of users and groups from one query each."""
    rules = list(rules)
    ids: dict[str, list[str]] = {"user": [], "group": []}
    for rule in rules:
        kind, _, id = rule.principal.partition(":")
        if id:
            ids[kind].append(id)
    names = {
        "user": dict(User.objects.filter(pk__in=ids["user"]).values_list("pk", "username")) if ids["user"] else {},
        "group": dict(Group.objects.filter(pk__in=ids["group"]).values_list("pk", "name")) if ids["group"] else {},
    }
    return [_described(rule, names) for rule in rules]


def rule_of(row: Row) -> Rule:
    """The rule that the COLUMNS of a row hold."""
    id, user_id, group_id, pattern, verbs, effect, created_by, created_at, expires_at = row
    return Rule(
        id=id,
        principal=user_principal(user_id) if user_id else group_principal(group_id) if group_id else EVERYONE,
        pattern=parse_area(pattern),
        verbs=verbs_of(verbs),
        effect=Effect(effect),
        created_by=created_by,
        created_at=created_at,
        expires_at=expires_at,
    )


def _holding() -> QuerySet[AccessRule]:
    return AccessRule.objects.exclude(expires_at__lte=now())


def _matching(pattern: Pattern) -> Q:
    if pattern == EVERYTHING:
        return ~Q(pk__in=[])
    if pattern.is_exact:
        return Q(uri=pattern.prefix)
    below = Q(uri__gt=pattern.prefix, uri__lt=pattern.end)
    return below & Q(uri__regex=f"^{re.escape(pattern.prefix)}[^/]+$") if pattern.reach is Reach.LEVEL else below


def _described(rule: Rule, names: Mapping[str, Mapping[int, str]]) -> dict[str, Any]:
    kind, _, id = rule.principal.partition(":")
    return {
        "id": rule.id,
        kind: names[kind].get(int(id), id) if id else True,
        "pattern": str(rule.pattern),
        "verbs": [verb for verb in Verb if verb in rule.verbs],
        "effect": rule.effect,
        "created_by": rule.created_by,
        "created_at": rule.created_at,
        "expires_at": rule.expires_at,
    }
