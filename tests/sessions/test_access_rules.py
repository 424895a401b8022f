"""Which rule decides, tested without a database and against a plain reading of the definition."""

import itertools
import random
from dataclasses import replace
from datetime import UTC, datetime

import pytest

from resources_app.patterns import Pattern, Reach
from sessions_app.access.decisions import UserRights, Why, explain, may, may_anywhere, readable_spans
from sessions_app.access.index import Index, first_span
from sessions_app.access.rules import EVERYONE, EVERYTHING, Effect, Rule, Verb, lies_within, parse_area

AT = datetime(2026, 1, 1, tzinfo=UTC)
ME = frozenset({EVERYONE, "user:1", "group:1"})
TREE = "resource://a.local/x"


def rule(
    id: object,
    effect: str,
    pattern: str,
    principal: str = "user:1",
    verbs: str = "read",
    expires_at: datetime | None = None,
) -> Rule:
    return Rule(
        id=str(id),
        principal=principal,
        pattern=parse_area(pattern),
        verbs=frozenset(map(Verb, verbs.split())),
        effect=Effect(effect),
        created_by="root",
        created_at=AT,
        expires_at=expires_at,
    )


def rights(*permissions: str, principals: frozenset[str] = ME, root: bool = False) -> UserRights:
    return UserRights(principals=principals, permissions=frozenset(permissions), is_superuser=root)


def rank(pattern: Pattern) -> tuple[bool, int, bool]:
    return pattern.is_exact, len(pattern.prefix), pattern.reach is Reach.LEVEL


def read_plainly(rules: list[Rule], principals: frozenset[str], verb: Verb, uri: str) -> Effect | None:
    """The definition: the most specific pattern decides, of equal ones a denying rule."""
    found = [r for r in rules if r.principal in principals and verb in r.verbs and r.pattern.covers(uri)]
    if not found:
        return None
    best = max(rank(r.pattern) for r in found)
    return Effect.DENY if any(r.effect is Effect.DENY for r in found if rank(r.pattern) == best) else Effect.ALLOW


NAMES = ["a", "b", "a/a", "a/b", "b/a", "a/a/a", "a/b/", "a//b"]
URIS = [f"resource://{host}/{name}" for host in ("h", "i") for name in NAMES]
PATTERNS = ["*", *URIS, *(f"resource://h/{name}{end}" for name in ("", "a/", "b/", "a/a/") for end in "*+")]


def some_rules(dice: random.Random, count: int) -> list[Rule]:
    principals = [EVERYONE, "user:1", "user:2", "group:1", "group:2"]
    return [
        rule(
            number,
            dice.choice(["allow", "deny"]),
            dice.choice(PATTERNS),
            dice.choice(principals),
            " ".join(dice.sample([verb.value for verb in Verb], 2)),
        )
        for number in range(count)
    ]


def test_the_index_decides_as_the_definition_reads(dice: random.Random) -> None:
    for _ in range(60):
        rules = some_rules(dice, dice.randrange(1, 25))
        index = Index(rules)
        for gone in dice.sample(rules, len(rules) // 3):
            assert index.remove(gone.id) == gone
            rules.remove(gone)
        for verb in (Verb.READ, Verb.ADMIN):
            for uri in URIS:
                found = index.deciding(ME, verb, uri)
                assert (found.effect if found else None) == read_plainly(rules, ME, verb, uri), (rules, uri)


def test_a_pattern_is_covered_only_where_everything_below_it_is_allowed(dice: random.Random) -> None:
    """Never more than that; less where a narrower denial is overruled by what is narrower still."""
    covered = 0
    for _ in range(150):
        rules = some_rules(dice, dice.randrange(1, 12))
        index = Index(rules)
        for text in PATTERNS:
            pattern = parse_area(text)
            verdict = explain(index, rights(), Verb.READ, pattern)
            below = [uri for uri in URIS if pattern.covers(uri)]
            allowed = all(read_plainly(rules, ME, Verb.READ, uri) is Effect.ALLOW for uri in below)
            assert allowed or not verdict.allowed, (text, rules)
            covered += verdict.allowed and not pattern.is_exact
            if pattern.is_exact:
                assert verdict.allowed == may(index, rights(), Verb.READ, text) == allowed
    assert covered


def test_spans_hold_whatever_may_be_read(dice: random.Random) -> None:
    for _ in range(60):
        rules = some_rules(dice, 12)
        spans = readable_spans(Index(rules), rights())
        assert spans == sorted(spans)
        assert all(high < low for (_, high), (low, _) in itertools.pairwise(spans))
        for uri in URIS:
            if read_plainly(rules, ME, Verb.READ, uri) is Effect.ALLOW:
                assert any(low <= uri < high for low, high in spans)
                low, _ = spans[first_span(spans, uri[:-1])]
                assert low <= uri


@pytest.mark.parametrize(
    ("rules", "uri", "allowed"),
    [
        ([], f"{TREE}/1", False),
        (["allow *"], f"{TREE}/1", True),
        (["allow *", f"deny {TREE}/*"], f"{TREE}/1", False),
        (["allow *", f"deny {TREE}/*"], "resource://a.local/y", True),
        ([f"deny {TREE}/*", f"allow {TREE}/1"], f"{TREE}/1", True),
        ([f"deny {TREE}/*", f"allow {TREE}/+"], f"{TREE}/1", True),
        ([f"deny {TREE}/*", f"allow {TREE}/+"], f"{TREE}/1/2", False),
        ([f"allow {TREE}/+", f"deny {TREE}/+"], f"{TREE}/1", False),
        ([f"allow {TREE}"], f"{TREE}/1", False),
        ([f"allow {TREE}/*"], TREE, False),
    ],
)
def test_examples(rules: list[str], uri: str, allowed: bool) -> None:
    index = Index([rule(number, effect, where) for number, (effect, where) in enumerate(map(str.split, rules))])
    assert may(index, rights(), Verb.READ, uri) is allowed


def test_a_permission_is_a_rule_on_everything_that_allows() -> None:
    reader = rights("resources:read")
    assert explain(Index(), reader, Verb.READ, parse_area(TREE)).why is Why.PERMISSION
    assert not may(Index(), reader, Verb.WRITE, TREE)
    denied = Index([rule(1, "deny", f"{TREE}/*", EVERYONE)])
    assert not may(denied, reader, Verb.READ, f"{TREE}/1")
    assert may(denied, reader, Verb.READ, TREE)
    assert not explain(denied, reader, Verb.READ, EVERYTHING).allowed
    assert not may(Index([rule(1, "deny", "*", "group:1")]), reader, Verb.READ, TREE)


def test_a_superuser_may_everything_and_scopes_narrow_everybody() -> None:
    index = Index([rule(1, "deny", "*", EVERYONE, "read write"), rule(2, "allow", TREE, verbs="write")])
    root = rights(root=True)
    assert explain(index, root, Verb.WRITE, EVERYTHING).why is Why.SUPERUSER
    narrow = replace(root, scopes=frozenset({"resources:read"}))
    assert may(index, narrow, Verb.READ, TREE)
    for verb in (Verb.WRITE, Verb.ADMIN):
        assert not may(index, narrow, verb, TREE)
        assert explain(index, narrow, verb, EVERYTHING).why is Why.SCOPE
    assert may(index, rights(), Verb.WRITE, TREE)
    assert not may(index, replace(rights(), scopes=frozenset({"resources:read"})), Verb.WRITE, TREE)
    assert readable_spans(index, replace(root, scopes=frozenset())) == []


def test_rules_for_others_say_nothing() -> None:
    index = Index([rule(1, "allow", "*", "user:2"), rule(2, "allow", TREE, "group:2", "admin")])
    assert not may(index, rights(), Verb.READ, TREE)
    assert not may_anywhere(index, rights(), Verb.ADMIN)
    assert may_anywhere(index, rights(principals=frozenset({"group:2"})), Verb.ADMIN)


def test_what_lies_within_what() -> None:
    below, level, exact = (parse_area(TREE + end) for end in ("/*", "/+", "/1"))
    assert all(lies_within(one, EVERYTHING) and lies_within(one, one) for one in (below, level, exact, EVERYTHING))
    assert lies_within(level, below) and not lies_within(below, level)
    assert lies_within(exact, level) and not lies_within(level, exact)
    assert not lies_within(EVERYTHING, below)


def test_a_rule_is_kept_and_read_again() -> None:
    for expires_at in (None, AT):
        one = rule(7, "deny", f"{TREE}/+", "group:3", "delete read", expires_at)
        assert Rule.loaded(one.dumped()) == one
    assert one.has_expired(AT)
