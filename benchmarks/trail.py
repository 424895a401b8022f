"""A program: a trail of many entries, and how long an auditor's questions to it take.

`python -m benchmarks.trail <entries> <rounds>` in an environment that names an empty audit database. It writes a line
of JSON for the filling, {"entries", "seconds"}, and one for each question, {"question", "found", "p50_ms", "max_ms"}.
"""

import json
import os
import random
import statistics
import sys
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import django

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "erlmcp_site.settings")
django.setup()

from django.core.management import call_command  # noqa: E402  # needs Django to be set up
from django.db import connections, transaction  # noqa: E402

from audit_app.bulk import bulk, table_of  # noqa: E402
from audit_app.models import AuditEntry  # noqa: E402
from audit_app.queries import Place, Selection, list_entries  # noqa: E402
from audit_app.trail import Queue  # noqa: E402

AUDIT = "audit"
BATCH = 500
PAGE = 101
BEGAN = datetime(2026, 1, 1, tzinfo=UTC)
SPAN = timedelta(days=30)
USERS, URIS = 1_000, 50_000
COMMON = 0.2
"""The share of one user, and a quarter of it that of one resource."""

COLUMNS = (
    *("id", "sequence", "timestamp", "queue", "user_id", "user", "action", "outcome", "code", "resource_type"),
    *(
        "resource_id",
        "details",
        "source_ip",
        "user_agent",
        "session_id",
        "request_id",
        "transport",
        "prev_hash",
        "hash",
    ),
)
ENTRIES = table_of(AuditEntry, *COLUMNS)
ACTIONS = ("resources/read", "resources/write", "resources/list", "subscriptions/create", "sessions/get", "auth/login")
WEIGHTS = (60, 25, 6, 4, 4, 1)


def uri(number: int) -> str:
    return f"resource://site{number % 50}.example.com/lines/{number % 700}/stations/{number}"


def rows(count: int) -> Iterator[tuple[Any, ...]]:
    """Entries as the mover would insert them; the same ones every time."""
    dice = random.Random(4)
    details, agent, digest = '{"version":3}', "Mozilla/5.0 (X11; Linux x86_64) erlmcp-client/1.4", "0" * 64
    for sequence in range(1, count + 1):
        at = BEGAN + SPAN * (sequence / count) + timedelta(seconds=dice.random())
        user = 0 if dice.random() < COMMON else dice.randrange(1, USERS)
        resource = 0 if dice.random() < COMMON / 4 else dice.randrange(1, URIS)
        # the common user never touches the common resource, so that asking for both finds nothing
        resource = 1 if user == resource == 0 else resource
        (action,) = dice.choices(ACTIONS, WEIGHTS)
        queue = Queue.DATA if action.startswith(("resources", "subscriptions")) else Queue.SECURITY
        chance = dice.random()
        outcome, code = ("refused", "forbidden") if chance < 0.04 else ("success", "")
        if user and chance > 0.999:
            outcome, code = "error", "internal_error"
        yield (
            *(f"{sequence:08x}-0000-7000-8000-{dice.randrange(2**48):012x}", sequence, at, queue, str(user)),
            *(f"user{user}", action, outcome, code, "resource", uri(resource), details, f"10.0.{user % 256}.1", agent),
            f"{user * 5 + dice.randrange(5):08x}-0000-4000-8000-000000000000",
            f"{sequence:08x}-0000-7000-9000-{dice.randrange(2**48):012x}",
            *("rest", digest, digest),
        )


def fill(count: int) -> float:
    """Insert so many entries in the mover's batches. Returns how many seconds the database took."""
    connection = connections[AUDIT]
    source, seconds, done = rows(count), 0.0, 0
    while done < count:
        batch = [next(source) for _ in range(min(BATCH, count - done))]
        started = time.perf_counter()
        with transaction.atomic(using=AUDIT):
            bulk(connection).insert(ENTRIES, batch)
        seconds += time.perf_counter() - started
        done += len(batch)
    return seconds


def moment(days: float) -> datetime:
    return BEGAN + timedelta(days=days)


def questions() -> dict[str, tuple[Selection, Place | None]]:
    """What is asked, by name: which entries, and behind which place. Of users and resources, the most common one."""
    user, resource = "user0", uri(0)
    hour = {"since": moment(12), "until": moment(12) + timedelta(hours=1)}
    nowhere = {"since": moment(40)}
    deep = Place(moment(3), 2**62)
    return {
        "everything": (Selection(), None),
        "everything, deep page": (Selection(), deep),
        "user": (Selection(user=user), None),
        "user, deep page": (Selection(user=user), deep),
        "user who is seldom seen": (Selection(user="user7"), None),
        "user, nobody": (Selection(user="nobody"), None),
        "resource": (Selection(resource=resource), None),
        "resource, deep page": (Selection(resource=resource), deep),
        "resource, none": (Selection(resource="resource://example.com/none"), None),
        "an hour": (Selection(**hour), None),
        "time, no entry": (Selection(**nowhere), None),
        "user + resource": (Selection(user="user7", resource=resource), None),
        "user + resource, no entry": (Selection(user=user, resource=resource), None),
        "user + an hour": (Selection(user=user, **hour), None),
        "user + time, no entry": (Selection(user=user, **nowhere), None),
        "resource + an hour": (Selection(resource=resource, **hour), None),
        "resource + time, no entry": (Selection(resource=resource, **nowhere), None),
        "user + resource + an hour": (Selection(user=user, resource=resource, **hour), None),
        "below a site (20,000 entries)": (Selection(resource="resource://site3.example.com/*"), None),
        "below a line (1,400 entries)": (Selection(resource="resource://site3.example.com/lines/3/*"), None),
        "below a site + user": (Selection(resource="resource://site3.example.com/*", user=user), None),
        "below a site (70,000 entries)": (Selection(resource="resource://site0.example.com/*"), None),
        "action": (Selection(action="auth/login"), None),
        "outcome error": (Selection(outcome="error"), None),
        "outcome refused + an hour": (Selection(outcome="refused", **hour), None),
        "outcome refused + user": (Selection(outcome="refused", user=user), None),
        "action + user": (Selection(action="auth/login", user=user), None),
        "action, none + user": (Selection(action="auth/none", user=user), None),
        "outcome error + user, no entry": (Selection(outcome="error", user=user), None),
        "queue security": (Selection(queue=Queue.SECURITY), None),
        "queue system, no entry": (Selection(queue=Queue.SYSTEM), None),
    }


def ask(selection: Selection, after: Place | None, rounds: int) -> dict[str, float]:
    """How many entries the first page of an answer has, and how long it takes in milliseconds."""
    times, found = [], 0
    for _ in range(rounds):
        started = time.perf_counter()
        found = len(list_entries(selection, after, PAGE))
        times.append(1000 * (time.perf_counter() - started))
    return {"found": found, "p50_ms": statistics.median(times), "max_ms": max(times)}


def main(count: int, rounds: int) -> None:
    call_command("migrate", database=AUDIT, verbosity=0)
    print(json.dumps({"entries": count, "seconds": fill(count)}), flush=True)
    if connections[AUDIT].vendor == "postgresql":
        with connections[AUDIT].cursor() as cursor:
            # what PostgreSQL does on its own within a minute
            cursor.execute("ANALYZE audit_app_auditentry")
    for name, (selection, after) in questions().items():
        print(json.dumps({"question": name} | ask(selection, after, rounds)), flush=True)


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]))
