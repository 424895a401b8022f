"""All rules of a process, so that the one that decides is found in a few looks into dicts, however many there are."""

from bisect import bisect_left, bisect_right, insort
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from resources_app.patterns import Pattern, Reach
from resources_app.uris import END
from sessions_app.access.rules import EVERYTHING, Effect, Rule, Verb, lies_within

Principals = frozenset[str]
Span = tuple[str, str]
"""From a URI, up to but without another one, in byte order."""

AFTER_EXACT = " "
"""Behind a URI, and in front of any other that begins with it: no URI has a blank."""


@dataclass(slots=True)
class Spot:
    """The rules with one pattern and verb: by principal, by id."""

    deny: dict[str, dict[str, Rule]] = field(default_factory=dict)
    allow: dict[str, dict[str, Rule]] = field(default_factory=dict)

    def deciding(self, principals: Principals) -> Rule | None:
        """The rule that decides here for somebody: of an allowing and a denying one the latter."""
        for kind in (self.deny, self.allow):
            if kind:
                for principal in principals:
                    found = kind.get(principal)
                    if found is not None:
                        return next(iter(found.values()))
        return None

    def of(self, effect: Effect) -> dict[str, dict[str, Rule]]:
        return self.deny if effect is Effect.DENY else self.allow

    @property
    def is_empty(self) -> bool:
        return not self.deny and not self.allow


@dataclass(slots=True)
class Table:
    """The rules on one verb: their spots by URI or prefix, and the denying ones in the order of their prefixes."""

    spots: dict[Reach, dict[str, Spot]] = field(default_factory=lambda: {reach: {} for reach in Reach})
    denials: list[tuple[str, str]] = field(default_factory=list)
    longest: int = 0


class Index:
    """The rules that hold. To be changed and asked in one thread.

    Of the rules that match, that with the most specific pattern decides: the URI itself, then the longest prefix, at
    the same prefix one level (`/+`) before everything below (`/*`), at the end `*`. Of equal ones a denying one does.
    """

    def __init__(self, rules: Iterable[Rule] = ()) -> None:
        self._rules: dict[str, Rule] = {}
        self._of: dict[str, dict[str, Rule]] = {}
        self._tables = {verb: Table() for verb in Verb}
        for rule in rules:
            self.add(rule)

    def __iter__(self) -> Iterator[Rule]:
        return iter(list(self._rules.values()))

    def get(self, id: str) -> Rule | None:
        return self._rules.get(id)

    def add(self, rule: Rule) -> None:
        """Let a rule hold; one that does already is left alone."""
        if rule.id in self._rules:
            return
        self._rules[rule.id] = rule
        self._of.setdefault(rule.principal, {})[rule.id] = rule
        for verb in rule.verbs:
            table = self._tables[verb]
            spot = table.spots[rule.pattern.reach].setdefault(rule.pattern.prefix, Spot())
            spot.of(rule.effect).setdefault(rule.principal, {})[rule.id] = rule
            table.longest = max(table.longest, len(rule.pattern.prefix))
            if rule.effect is Effect.DENY:
                insort(table.denials, (rule.pattern.prefix, rule.id))

    def remove(self, id: str) -> Rule | None:
        """Let a rule hold no more. Returns it, if it did."""
        rule = self._rules.pop(id, None)
        if rule is None:
            return None
        _drop(self._of, rule)
        for verb in rule.verbs:
            table = self._tables[verb]
            spots = table.spots[rule.pattern.reach]
            spot = spots[rule.pattern.prefix]
            _drop(spot.of(rule.effect), rule)
            if spot.is_empty:
                del spots[rule.pattern.prefix]
            if rule.effect is Effect.DENY:
                del table.denials[bisect_left(table.denials, (rule.pattern.prefix, rule.id))]
        return rule

    def of_principals(self, principals: Principals) -> Iterator[Rule]:
        """All rules for somebody."""
        for principal in principals:
            yield from self._of.get(principal, {}).values()

    def deciding(self, principals: Principals, verb: Verb, uri: str) -> Rule | None:
        """The rule that decides on one (normalised) URI for somebody; None when there is none."""
        if self._of.keys().isdisjoint(principals):
            return None
        table = self._tables[verb]
        spot = table.spots[Reach.EXACT].get(uri)
        if spot is not None and (rule := spot.deciding(principals)) is not None:
            return rule
        last = uri.rfind("/")
        slash = uri.rfind("/", 0, min(len(uri) - 1, table.longest))
        if slash == last:
            spot = table.spots[Reach.LEVEL].get(uri[: slash + 1])
            if spot is not None and (rule := spot.deciding(principals)) is not None:
                return rule
        return self._below(table, principals, uri, slash)

    def covering(self, principals: Principals, verb: Verb, pattern: Pattern) -> Rule | None:
        """The most specific of the rules for somebody that hold for all of a pattern."""
        if pattern.is_exact:
            return self.deciding(principals, verb, pattern.prefix)
        table = self._tables[verb]
        if pattern.reach is Reach.LEVEL:
            spot = table.spots[Reach.LEVEL].get(pattern.prefix)
            if spot is not None and (rule := spot.deciding(principals)) is not None:
                return rule
        return self._below(table, principals, pattern.prefix, len(pattern.prefix) - 1)

    def narrower_denial(self, principals: Principals, verb: Verb, pattern: Pattern) -> Rule | None:
        """A rule that denies somebody a part of a pattern, and not all of it; None when there is none."""
        if pattern.is_exact:
            return None
        denials = self._tables[verb].denials
        first = bisect_left(denials, (pattern.prefix, ""))
        last = len(denials) if pattern == EVERYTHING else bisect_left(denials, (pattern.end, ""))
        own = sum(len(self._of.get(principal, ())) for principal in principals)
        # those of others may be many, and this is asked at each list and for each follower
        if own < last - first:
            own_rules = self.of_principals(principals)
            rules = [rule for rule in own_rules if rule.effect is Effect.DENY and verb in rule.verbs]
            rules.sort(key=lambda rule: (rule.pattern.prefix, rule.id))
        else:
            rules = [self._rules[id] for _, id in denials[first:last]]
        for rule in rules:
            if rule.principal in principals and lies_within(rule.pattern, pattern) and rule.pattern != pattern:
                return rule
        return None

    def spans(self, principals: Principals, verb: Verb) -> list[Span]:
        """Where anything may be allowed to somebody by a rule, in order, none overlapping another."""
        found = sorted(
            _span(rule.pattern)
            for rule in self.of_principals(principals)
            if rule.effect is Effect.ALLOW and verb in rule.verbs
        )
        merged: list[Span] = []
        for low, high in found:
            if merged and low <= merged[-1][1]:
                merged[-1] = (merged[-1][0], max(merged[-1][1], high))
            else:
                merged.append((low, high))
        return merged

    @staticmethod
    def _below(table: Table, principals: Principals, text: str, slash: int) -> Rule | None:
        """The rule on everything below the longest prefix of a text, from that with its slash at a place."""
        spots = table.spots[Reach.BELOW]
        while slash >= 0:
            spot = spots.get(text[: slash + 1])
            if spot is not None and (rule := spot.deciding(principals)) is not None:
                return rule
            slash = text.rfind("/", 0, slash)
        spot = spots.get("")
        return spot.deciding(principals) if spot is not None else None


def first_span(spans: list[Span], after: str) -> int:
    """The place of the first span that has room behind a URI."""
    place = bisect_right(spans, (after, END))
    return place - 1 if place and spans[place - 1][1] > after else place


def _span(pattern: Pattern) -> Span:
    if pattern == EVERYTHING:
        return "", END
    return pattern.prefix, pattern.prefix + AFTER_EXACT if pattern.is_exact else pattern.end


def _drop(of: dict[str, dict[str, Rule]], rule: Rule) -> None:
    rules = of[rule.principal]
    del rules[rule.id]
    if not rules:
        del of[rule.principal]
