"""Decisions on access in one process, without a server: with 10,000 rules, and with 10,000 for the caller alone."""

import time
from datetime import UTC, datetime

from benchmarks.figures import Figure
from benchmarks.run import Run
from sessions_app.access.decisions import UserRights, may
from sessions_app.access.index import Index
from sessions_app.access.rules import EVERYONE, Effect, Rule, Verb, parse_area

RULES = 10_000
ROUNDS = 20
ENDS = ("/*", "/+", "")


def access(run: Run) -> None:
    """One decision on reading, where there are rules and where there are none."""
    caller = UserRights(
        principals=frozenset({EVERYONE, "user:1", "group:1", "group:2"}),
        permissions=frozenset({"resources:read"}),
        is_superuser=False,
    )
    for whose, users in {"of many users": RULES, "of the caller": 1}.items():
        index = Index(_rule(number, f"user:{1 + number % users}") for number in range(RULES))
        for what, uris in {
            "among the rules": [f"resource://h{n % 50}.local/tree/{n}/a/b/c" for n in range(0, RULES, 10)],
            "away from them": [f"resource://other.local/tree/{n}/a/b/c" for n in range(0, RULES, 10)],
        }.items():
            run.add(_figure(run, f"a decision {what}, 10,000 rules {whose}", index, caller, uris))


def _figure(run: Run, case: str, index: Index, caller: UserRights, uris: list[str]) -> Figure:
    best = float("inf")
    for _ in range(max(3, ROUNDS // run.scale)):
        started = time.process_time()
        for uri in uris:
            may(index, caller, Verb.READ, uri)
        best = min(best, time.process_time() - started)
    each = best / len(uris)
    return Figure(case=case, server="erlmcp, in process", per_cpu_s=1 / each, also={"µs": round(each * 1e6, 2)})


def _rule(number: int, principal: str) -> Rule:
    return Rule(
        id=str(number),
        principal=principal,
        pattern=parse_area(f"resource://h{number % 50}.local/tree/{number}{ENDS[number % 3]}"),
        verbs=frozenset({Verb.READ, Verb.SUBSCRIBE}),
        effect=Effect.DENY if number % 2 else Effect.ALLOW,
        created_by="",
        created_at=datetime.now(UTC),
    )
