"""Whether a run kept every promise, judged by what clients recorded and what the databases hold.

The promises, by the names that breaches bear:

- *log*: offsets have no gap; the table is what the log says.
- *lost write*: what was answered is in the log, where and as the answer said.
- *doubled write*: a change was made at most once, however often it was asked for.
- *refused write*: what was refused was not made.
- *foreign write*: nothing is in the log that nobody asked for.
- *trail*: every change in the log has exactly one audit entry, and the trail verifies.
- *inversion*, *duplicate*: inside a connection offsets grow strictly.
- *repeated*: over all connections an event comes once.
- *gap*: every event that a follower is due has come.
- *foreign event*: nothing came that the follower did not ask for, or that is not in the log.
- *resume*: a connection goes on behind the offset that the follower had reached, neither before it nor after; and
  nobody is told to begin anew, as the log of a run is never trimmed.
- and those of tests/stack/histories.py: read your writes, monotonic reads, causality, real time, compare and set.
"""

import math
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass

from tests.chaos.history import Change, Evidence, Followed, History
from tests.stack.histories import Operation, faults_of


@dataclass(frozen=True)
class Breach:
    """A promise that was not kept; `what` says where, for people."""

    promise: str
    what: str


def breaches_of(history: History, evidence: Evidence) -> list[Breach]:
    """Every broken promise of a run, in the order of the rules."""
    return [
        *_of_the_log(evidence),
        *_of_the_writes(history.changes, evidence),
        *_of_the_trail(evidence),
        *(breach for followed in history.followers for breach in _of_a_follower(followed, evidence)),
        *_of_the_sessions(history, evidence),
    ]


def _of_the_log(evidence: Evidence) -> Iterator[Breach]:
    for before, after in zip(evidence.offsets, evidence.offsets[1:], strict=False):
        if after != before + 1:
            yield Breach("log", f"offset {after} follows {before}")
    last = {uri: version for _, uri, version in evidence.log}
    for uri in sorted(last.keys() | evidence.table.keys()):
        if last.get(uri) != evidence.table.get(uri):
            yield Breach("log", f"{uri} is at {evidence.table.get(uri)}, its last event says {last.get(uri)}")


def _of_the_writes(changes: list[Change], evidence: Evidence) -> Iterator[Breach]:
    log = {(uri, version): offset for offset, uri, version in evidence.log}
    logged = Counter(uri for _, uri, _ in evidence.log)
    answered: Counter[tuple[str, int]] = Counter()
    wanted: dict[str, Counter[str]] = defaultdict(Counter)
    for change in changes:
        wanted[change.uri][change.outcome] += 1
        if change.outcome == "ok":
            answered[change.uri, change.version] += 1
            if log.get((change.uri, change.version)) != change.offset:
                found = log.get((change.uri, change.version))
                yield Breach("lost write", f"{change} is in the log at {found}")
    for (uri, version), count in answered.items():
        if count > 1:
            yield Breach("lost write", f"version {version} of {uri} was answered to {count} changes")
    for uri, count in logged.items():
        of = wanted[uri]
        if not of:
            yield Breach("foreign write", f"nobody asked for {uri}")
        elif count > of["ok"] + of["unknown"]:
            promise = "refused write" if of["refused"] and not of["ok"] else "doubled write"
            yield Breach(promise, f"{uri} was changed {count} times, of {dict(of)}")


def _of_the_trail(evidence: Evidence) -> Iterator[Breach]:
    told = Counter(evidence.entries)
    made = Counter((uri, version) for _, uri, version in evidence.log)
    for change in sorted(told.keys() | made.keys()):
        if told[change] != made[change]:
            yield Breach("trail", f"{change} was made {made[change]} times, and has {told[change]} entries")
    if evidence.trail:
        yield Breach("trail", evidence.trail)


def _of_a_follower(followed: Followed, evidence: Evidence) -> Iterator[Breach]:
    if followed.transport == "mcp":
        yield from _of_an_agent(followed, evidence)
        return
    who = f"{followed.client} ({followed.transport})"
    log = {offset: (uri, version) for offset, uri, version in evidence.log}
    due = {offset for offset, uri, _ in evidence.log if offset > followed.start and followed.matches(uri)}
    came: Counter[int] = Counter()
    reached = here = followed.start
    for seen in followed.seen:
        if seen.kind == "begun":
            if seen.offset != reached:
                yield Breach("resume", f"{who} had reached {reached}, and went on from {seen.offset}")
            here = seen.offset
        elif seen.kind == "reset":
            yield Breach("resume", f"{who} had reached {reached}, and was told that this proves nothing")
        elif seen.kind == "bookmark":
            if seen.offset < here:
                yield Breach("inversion", f"{who} was handed the bookmark {seen.offset} after {here}")
        else:
            came[seen.offset] += 1
            if seen.offset <= here:
                promise = "duplicate" if seen.offset == here else "inversion"
                yield Breach(promise, f"{who} was handed {seen.offset} after {here}")
            if seen.offset not in due or log[seen.offset] != (seen.uri, seen.version):
                yield Breach("foreign event", f"{who} was handed {seen}")
        here = max(here, seen.offset)
        reached = max(reached, here)
    for offset, count in came.items():
        if count > 1:
            yield Breach("repeated", f"{who} was handed {offset} {count} times")
    if missing := sorted(due - came.keys()):
        yield Breach("gap", f"{who} was not handed {len(missing)} of {len(due)}: {missing[:5]}")


def _of_an_agent(followed: Followed, evidence: Evidence) -> Iterator[Breach]:
    """Whoever is told that something has changed, and reads on coming back, knows the last version in the end."""
    who = f"{followed.client} ({followed.transport})"
    log = {(uri, version): offset for offset, uri, version in evidence.log}
    here = known = 0
    for seen in followed.seen:
        if seen.kind == "begun":
            here = 0
            continue
        if log.get((seen.uri, seen.version)) != seen.offset:
            yield Breach("foreign event", f"{who} was {seen.kind} {seen}")
        if seen.kind == "told":
            if seen.offset <= here:
                yield Breach("inversion", f"{who} was told of {seen.offset} after {here}")
            here = seen.offset
        known = max(known, seen.offset)
    last = max((offset for offset, uri, _ in evidence.log if followed.matches(uri)), default=0)
    if known < last:
        yield Breach("gap", f"{who} knows {known}, and was not told of {last}")


def _of_the_sessions(history: History, evidence: Evidence) -> Iterator[Breach]:
    """By the rules of histories; a change whose fate its client never learnt is one that somebody made."""
    unknown: dict[str, list[Change]] = defaultdict(list)
    for change in history.changes:
        if change.outcome == "unknown":
            unknown[change.uri].append(change)
    known = {(one.uri, one.version) for one in history.operations if one.kind == "write"}
    made = [
        Operation(
            kind="write",
            session=f"unknown {uri} {version}",
            node=0,
            uri=uri,
            version=version,
            began=min(change.began for change in unknown[uri]),
            ended=math.inf,
        )
        for _, uri, version in evidence.log
        if (uri, version) not in known and uri in unknown
    ]
    for fault in faults_of([*history.operations, *made], evidence.log):
        yield Breach(fault.rule, f"{fault.why}: {fault.operation}")
