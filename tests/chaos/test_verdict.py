"""The verdict finds every way in which a run can have gone wrong, and nothing in one that went well."""

from collections.abc import Callable
from copy import deepcopy
from dataclasses import replace

import pytest

from tests.chaos.history import Change, Evidence, Followed, History, Seen
from tests.chaos.verdict import breaches_of
from tests.stack.histories import Operation

TREE = "resource://test.local/"
A, B, COUNTER = f"{TREE}a", f"{TREE}b", f"{TREE}counter"
LOG = [(11, A, 1), (12, COUNTER, 1), (13, B, 1), (14, COUNTER, 2), (15, COUNTER, 3)]

Bend = Callable[[History, Evidence], Evidence | None]


def sound() -> tuple[History, Evidence]:
    """A short run: five changes, one of them under no known fate, one refused; two followers, one of whom came back."""
    times = {(uri, version): float(offset) for offset, uri, version in LOG}
    changes = [
        Change(
            client="writer",
            transport="rest",
            method="resources/write",
            uri=uri,
            outcome="ok",
            began=times[uri, version],
            ended=times[uri, version] + 0.5,
            version=version,
            offset=offset,
            base=version - 1 if uri == COUNTER and version > 1 else None,
        )
        for offset, uri, version in LOG
        if uri != B
    ]
    lost = Change(
        client="other", transport="grpc", method="resources/write", uri=B, outcome="unknown", began=13, ended=20
    )
    refused = replace(lost, uri=f"{TREE}no", outcome="refused")
    operations = [
        Operation(
            kind="write",
            session=one.client,
            node=0,
            uri=one.uri,
            version=one.version,
            began=one.began,
            ended=one.ended,
            base=one.base,
        )
        for one in changes
    ]
    read = Operation(
        kind="read", session="writer", node=0, uri=COUNTER, version=3, began=17, ended=18, consistency="causal"
    )
    everything = Followed(
        client="all",
        transport="websocket",
        start=10,
        prefix=TREE,
        seen=[
            Seen(kind="begun", offset=10),
            Seen(kind="event", offset=11, uri=A, version=1),
            Seen(kind="event", offset=12, uri=COUNTER, version=1),
            Seen(kind="begun", offset=12),
            Seen(kind="event", offset=13, uri=B, version=1),
            Seen(kind="event", offset=14, uri=COUNTER, version=2),
            Seen(kind="event", offset=15, uri=COUNTER, version=3),
            Seen(kind="bookmark", offset=15),
        ],
    )
    one = Followed(
        client="one",
        transport="sse",
        start=10,
        uri=A,
        seen=[
            Seen(kind="begun", offset=10),
            Seen(kind="event", offset=11, uri=A, version=1),
            Seen(kind="bookmark", offset=14),
            Seen(kind="begun", offset=14),
        ],
    )
    agent = Followed(
        client="agent",
        transport="mcp",
        start=10,
        uri=COUNTER,
        seen=[
            Seen(kind="begun", offset=10),
            Seen(kind="read", offset=12, uri=COUNTER, version=1),
            Seen(kind="told", offset=14, uri=COUNTER, version=2),
            Seen(kind="begun", offset=14),
            Seen(kind="read", offset=14, uri=COUNTER, version=2),
            Seen(kind="told", offset=15, uri=COUNTER, version=3),
        ],
    )
    evidence = Evidence(
        log=LOG,
        offsets=list(range(1, 16)),
        table={A: 1, B: 1, COUNTER: 3},
        entries=[(uri, version) for _, uri, version in LOG],
    )
    history = History(
        changes=[*changes, lost, refused], operations=[*operations, read], followers=[everything, one, agent]
    )
    return history, evidence


def test_a_sound_run_has_no_breach() -> None:
    assert breaches_of(*sound()) == []


def a_hole_in_the_log(history: History, evidence: Evidence) -> Evidence:
    return replace(evidence, offsets=[1, *range(3, 16)])


def a_table_that_lags(history: History, evidence: Evidence) -> Evidence:
    return replace(evidence, table={A: 1, B: 1, COUNTER: 2})


def a_row_without_an_event(history: History, evidence: Evidence) -> Evidence:
    return replace(evidence, table={**evidence.table, f"{TREE}c": 1})


def an_answered_change_that_is_gone(history: History, evidence: Evidence) -> None:
    history.changes.append(replace(history.changes[0], uri=f"{TREE}c", offset=16))


def an_answer_that_names_another_offset(history: History, evidence: Evidence) -> None:
    history.changes[0] = replace(history.changes[0], offset=12)


def one_version_answered_to_two(history: History, evidence: Evidence) -> None:
    history.changes.append(history.changes[0])


def a_change_made_twice(history: History, evidence: Evidence) -> Evidence:
    return with_event(evidence, 16, A, 2)


def an_unknown_change_made_twice(history: History, evidence: Evidence) -> Evidence:
    return with_event(evidence, 16, B, 2)


def a_refused_change_that_was_made(history: History, evidence: Evidence) -> Evidence:
    return with_event(evidence, 16, f"{TREE}no", 1)


def a_change_that_nobody_wanted(history: History, evidence: Evidence) -> Evidence:
    return with_event(evidence, 16, f"{TREE}new", 1)


def a_change_without_an_entry(history: History, evidence: Evidence) -> Evidence:
    return replace(evidence, entries=evidence.entries[1:])


def a_change_with_two_entries(history: History, evidence: Evidence) -> Evidence:
    return replace(evidence, entries=[*evidence.entries, (A, 1)])


def an_entry_without_a_change(history: History, evidence: Evidence) -> Evidence:
    return replace(evidence, entries=[*evidence.entries, (A, 2)])


def a_trail_that_does_not_verify(history: History, evidence: Evidence) -> Evidence:
    return replace(evidence, trail="entry 3 was changed")


def two_events_in_the_wrong_order(history: History, evidence: Evidence) -> None:
    seen = history.followers[0].seen
    seen[1], seen[2] = seen[2], seen[1]


def an_event_twice_in_a_row(history: History, evidence: Evidence) -> None:
    seen = history.followers[0].seen
    seen.insert(1, seen[1])


def an_event_again_after_coming_back(history: History, evidence: Evidence) -> None:
    seen = history.followers[0].seen
    seen[3] = replace(seen[3], offset=11)
    seen.insert(4, seen[2])


def an_event_left_out(history: History, evidence: Evidence) -> None:
    del history.followers[0].seen[4]


def the_last_event_left_out(history: History, evidence: Evidence) -> None:
    del history.followers[0].seen[-2:]


def an_agent_that_was_not_told_of_the_last(history: History, evidence: Evidence) -> None:
    del history.followers[2].seen[-1]


def an_agent_that_was_told_twice(history: History, evidence: Evidence) -> None:
    history.followers[2].seen.append(history.followers[2].seen[-1])


def an_agent_that_has_read_what_never_was(history: History, evidence: Evidence) -> None:
    history.followers[2].seen[1] = replace(history.followers[2].seen[1], version=9)


def a_bookmark_beyond_an_event_that_comes_later(history: History, evidence: Evidence) -> None:
    history.followers[0].seen.insert(4, Seen(kind="bookmark", offset=14))


def a_bookmark_that_goes_back(history: History, evidence: Evidence) -> None:
    history.followers[0].seen[-1] = Seen(kind="bookmark", offset=14)


def an_event_of_another_resource(history: History, evidence: Evidence) -> None:
    history.followers[1].seen.insert(2, Seen(kind="event", offset=12, uri=COUNTER, version=1))


def an_event_that_the_log_has_otherwise(history: History, evidence: Evidence) -> None:
    seen = history.followers[0].seen
    seen[1] = replace(seen[1], version=7)


def a_connection_that_goes_on_too_late(history: History, evidence: Evidence) -> None:
    seen = history.followers[1].seen
    seen[-1] = replace(seen[-1], offset=15)


def a_follower_that_is_told_to_begin_anew(history: History, evidence: Evidence) -> None:
    history.followers[1].seen.append(Seen(kind="reset", offset=0))


def a_read_that_does_not_see_its_own_write(history: History, evidence: Evidence) -> None:
    history.operations[-1] = replace(history.operations[-1], version=2)


def a_strong_read_of_the_past(history: History, evidence: Evidence) -> None:
    history.operations[-1] = replace(history.operations[-1], session="third", version=2, consistency="strong")


def a_compare_and_set_on_an_old_base(history: History, evidence: Evidence) -> None:
    index = next(n for n, one in enumerate(history.operations) if one.base == 2)
    history.operations[index] = replace(history.operations[index], base=1)


def with_event(evidence: Evidence, offset: int, uri: str, version: int) -> Evidence:
    """As if one more change had been made, properly."""
    return replace(
        evidence,
        log=[*evidence.log, (offset, uri, version)],
        offsets=[*evidence.offsets, offset],
        table={**evidence.table, uri: version},
        entries=[*evidence.entries, (uri, version)],
    )


BENT: dict[str, list[Bend]] = {
    "log": [a_hole_in_the_log, a_table_that_lags, a_row_without_an_event],
    "lost write": [
        *(an_answered_change_that_is_gone, an_answer_that_names_another_offset, one_version_answered_to_two),
    ],
    "doubled write": [a_change_made_twice, an_unknown_change_made_twice],
    "refused write": [a_refused_change_that_was_made],
    "foreign write": [a_change_that_nobody_wanted],
    "trail": [
        *(a_change_without_an_entry, a_change_with_two_entries, an_entry_without_a_change),
        a_trail_that_does_not_verify,
    ],
    "inversion": [
        *(two_events_in_the_wrong_order, a_bookmark_beyond_an_event_that_comes_later, a_bookmark_that_goes_back),
        an_agent_that_was_told_twice,
    ],
    "duplicate": [an_event_twice_in_a_row],
    "repeated": [an_event_again_after_coming_back],
    "gap": [an_event_left_out, the_last_event_left_out, an_agent_that_was_not_told_of_the_last],
    "foreign event": [
        *(an_event_of_another_resource, an_event_that_the_log_has_otherwise),
        an_agent_that_has_read_what_never_was,
    ],
    "resume": [
        *(a_connection_that_goes_on_too_late, an_event_again_after_coming_back),
        a_follower_that_is_told_to_begin_anew,
    ],
    "read your writes": [a_read_that_does_not_see_its_own_write],
    "real time": [a_strong_read_of_the_past],
    "compare and set": [a_compare_and_set_on_an_old_base],
}


@pytest.mark.parametrize(
    ("promise", "bend"),
    [pytest.param(promise, bend, id=bend.__name__) for promise, bends in BENT.items() for bend in bends],
)
def test_a_bent_run_is_found_out(promise: str, bend: Bend) -> None:
    history, evidence = deepcopy(sound())
    evidence = bend(history, evidence) or evidence
    assert promise in {breach.promise for breach in breaches_of(history, evidence)}
