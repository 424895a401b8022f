"""Rules as the writer keeps them: granted, revoked, and forgotten when they have expired."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime

from audit_app.bulk import Bulk, Row, table_of
from audit_app.commands import Decision, Store
from audit_app.errors import Refusal
from audit_app.trail import Entry
from resources_app.log.control import ControlEvent
from sessions_app.access.queries import COLUMNS, rule_of
from sessions_app.access.rules import GRANTED, REVOKED, Rule, verbs_text
from sessions_app.models import AccessRule

RULES = table_of(AccessRule, *COLUMNS)


class RuleNotFound(Refusal):
    """There is no such rule, or it is not yours to revoke."""

    code = "resource_not_found"


@dataclass(slots=True)
class RulesOfBatch:
    """The rules that one batch touches, as the decisions so far have left them."""

    now: dict[str, Rule]
    fresh: dict[str, Rule] = field(default_factory=dict)
    gone: set[str] = field(default_factory=set)


class RuleStore(Store):
    """One store for all rules. A rule never changes: it comes and goes."""

    def load(self, db: Bulk, commands: Sequence["RuleCommand"]) -> RulesOfBatch:
        ids = [command.id for command in commands if isinstance(command, RevokeAccess)]
        return RulesOfBatch({row[0]: rule_of(row) for row in db.select(RULES, "id", ids, lock=True)})

    def decide(self, state: RulesOfBatch, command: "RuleCommand", at: datetime) -> Decision:
        return command.apply(state)

    def save(self, db: Bulk, state: RulesOfBatch) -> None:
        db.insert(RULES, [_row(rule) for rule in state.fresh.values()])
        db.delete(RULES, "id", sorted(state.gone))


STORE = RuleStore()


@dataclass(frozen=True, slots=True, kw_only=True)
class GrantAccess:
    """Let a rule hold; the result is it."""

    rule: Rule
    entry: Entry | None
    store: RuleStore = STORE

    def apply(self, state: RulesOfBatch) -> Decision:
        state.fresh[self.rule.id] = self.rule
        return _told(GRANTED, self.rule)


@dataclass(frozen=True, slots=True, kw_only=True)
class RevokeAccess:
    """Let a rule hold no more; the result is it."""

    id: str
    entry: Entry | None
    store: RuleStore = STORE

    def apply(self, state: RulesOfBatch) -> Decision:
        rule = state.now.pop(self.id, None)
        if rule is None:
            raise RuleNotFound()
        state.gone.add(rule.id)
        return _told(REVOKED, rule)


@dataclass(frozen=True, slots=True, kw_only=True)
class DropRules:
    """Forget rules that have expired, which no process holds any more; the result counts."""

    rules: Sequence[str]
    entry: Entry | None = None
    store: RuleStore = STORE

    def apply(self, state: RulesOfBatch) -> Decision:
        state.gone.update(self.rules)
        return Decision(result=len(self.rules))


RuleCommand = GrantAccess | RevokeAccess | DropRules


def _told(kind: str, rule: Rule) -> Decision:
    kept = rule.dumped()
    return Decision(
        result=rule,
        events=[ControlEvent(kind=kind, subject=rule.id, data=kept)],
        details={"rule": kept["id"], **{name: kept[name] for name in ("principal", "pattern", "verbs", "effect")}},
    )


def _row(rule: Rule) -> Row:
    kind, _, id = rule.principal.partition(":")
    return (
        *(rule.id, int(id) if kind == "user" else None, int(id) if kind == "group" else None),
        *(str(rule.pattern), verbs_text(rule.verbs), rule.effect.value),
        *(rule.created_by, rule.created_at, rule.expires_at),
    )
