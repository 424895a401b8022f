"""The checker finds what it is for, and nothing else."""

import random
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.stack.histories import Kind, Operation, faults_of

A, B = "resource://test/a", "resource://test/b"
LOG = [(1, A, 1), (2, B, 1), (3, A, 2), (4, B, 2), (5, A, 3)]


def operation(kind: Kind, session: str, uri: str, version: int, began: float, ended: float, **more: Any) -> Operation:
    return Operation(kind=kind, session=session, node=0, uri=uri, version=version, began=began, ended=ended, **more)


def read(session: str, uri: str, version: int, began: float, consistency: str = "causal", **more: Any) -> Operation:
    return operation("read", session, uri, version, began, began + 1, consistency=consistency, **more)


def write(session: str, uri: str, version: int, began: float, **more: Any) -> Operation:
    return operation("write", session, uri, version, began, began + 1, **more)


def refused(session: str, uri: str, version: int, began: float, base: int, **more: Any) -> Operation:
    return operation("refused", session, uri, version, began, began + 1, base=base, **more)


def pushed(session: str, uri: str, version: int, at: float) -> Operation:
    return operation("pushed", session, uri, version, at, at)


WRITES = [
    *(write("w", A, 1, 1), write("w", B, 1, 3), write("w", A, 2, 5), write("w", B, 2, 7), write("w", A, 3, 9)),
]
"""One after the other, from 1 to 10, in a session of their own: at 2, 4, 6, 8 and 10 they are answered."""

FAULTS: dict[str, tuple[str, Sequence[Operation]]] = {
    "a session does not read what it wrote": ("read your writes", [read("w", A, 1, 7)]),
    "not on a strong read either": ("read your writes", [read("w", B, 1, 11, "strong")]),
    "a session reads something older than it has read": (
        "monotonic reads",
        [read("s", A, 2, 7), read("s", A, 1, 9)],
    ),
    "older than an eventual read has shown": (
        "monotonic reads",
        [read("s", A, 2, 7, "eventual"), read("s", A, 1, 9)],
    ),
    "older than what was pushed": ("monotonic reads", [pushed("s", A, 2, 7), read("s", A, 1, 8)]),
    "older than a refusal told": ("monotonic reads", [refused("s", A, 2, 7, base=1), read("s", A, 1, 9)]),
    "a session reads what one resource knew, and not what that was after": (
        "causality",
        [read("s", B, 2, 9), read("s", A, 1, 11)],
    ),
    "a read is behind the offset that an answer claimed": (
        "causality",
        [read("s", B, 1, 7, log_offset=3), read("s", A, 1, 9)],
    ),
    "an answer claims more than it shows": ("log offset", [read("s", A, 1, 7, "eventual", log_offset=3)]),
    "a session is told that the log went back": (
        "going back",
        [read("s", A, 2, 7, log_offset=4), read("s", A, 2, 9, log_offset=3)],
    ),
    "a strong read is behind a change that was answered": ("real time", [read("s", A, 1, 7, "strong")]),
    "a strong read is behind what anybody has been shown": (
        "real time",
        [read("s", A, 2, 5.5, "strong"), read("t", A, 1, 6.7, "strong")],
    ),
    "a strong read claims less of the log than had been answered": (
        "real time",
        [read("s", A, 2, 9, "strong", log_offset=3)],
    ),
    "a read shows a change that nobody has begun": ("real time", [read("s", A, 3, 7)]),
    "a refusal tells of a version that was gone": ("real time", [refused("s", A, 1, 7, base=0)]),
    "a refusal on the present version": ("compare and set", [refused("s", A, 2, 7, base=2)]),
    "a version that is not in the log": ("log", [read("s", A, 9, 11)]),
    "two changes with one version": ("log", [write("s", A, 3, 9)]),
}


@pytest.mark.parametrize("name", FAULTS)
def test_a_broken_promise_is_found(name: str) -> None:
    rule, operations = FAULTS[name]
    assert {fault.rule for fault in faults_of([*WRITES, *operations], LOG)} >= {rule}


SOUND: dict[str, Sequence[Operation]] = {
    "nothing else": [],
    "an eventual read is old": [read("w", A, 1, 7, "eventual")],
    "a causal read of another session is old": [read("s", A, 1, 7)],
    "a read overlaps with the change that it does not show": [read("s", A, 1, 5.5, "strong")],
    "and one that it shows": [read("s", A, 2, 5.5, "strong")],
    "a session reads on": [read("s", A, 1, 3), read("s", B, 2, 9), read("s", A, 2, 11)],
    "a refusal on an old base, and one on a later": [refused("s", A, 2, 7, base=1), refused("s", A, 3, 11, base=7)],
    "what is pushed is read, or more": [pushed("s", A, 2, 7), read("s", A, 2, 8), read("s", A, 3, 11)],
    "claims that hold": [read("s", A, 2, 7, log_offset=3), read("s", A, 2, 8.5, log_offset=4)],
    "an eventual claim binds nobody": [
        read("s", A, 2, 8.5, "eventual", log_offset=4),
        read("s", A, 2, 11, log_offset=3),
    ],
}


@pytest.mark.parametrize("name", SOUND)
def test_a_kept_promise_is_none(name: str) -> None:
    assert faults_of([*WRITES, *SOUND[name]], LOG) == []


def test_changes_out_of_order_are_found() -> None:
    """The later change of one resource has the earlier version; of two resources, the earlier offset."""
    versions = faults_of([write("s", A, 2, 1), write("t", A, 1, 3)], [(1, A, 1), (2, A, 2)])
    offsets = faults_of([write("s", A, 1, 1), write("t", B, 1, 3)], [(1, B, 1), (2, A, 1)])
    assert {fault.rule for fault in versions} == {fault.rule for fault in offsets} == {"real time"}


def test_a_change_accepted_on_an_old_base_is_found() -> None:
    operations = [write("s", A, 1, 1, base=0), write("s", A, 2, 3, base=1), write("t", A, 3, 5, base=1)]
    assert [fault.rule for fault in faults_of(operations, [(1, A, 1), (2, A, 2), (3, A, 3)])] == ["compare and set"]


def test_a_change_that_nobody_made_is_found() -> None:
    assert [fault.rule for fault in faults_of(WRITES, [*LOG, (6, B, 3)])] == ["log"]


class Register:
    """Resources that are changed and read at one moment between the begin and the end of each call."""

    def __init__(self, dice: random.Random) -> None:
        self._dice = dice
        self._versions: dict[str, int] = {}
        self.changes: list[tuple[int, str, int]] = []
        self.operations: list[Operation] = []

    def run(self, calls_a_session: int) -> None:
        """Four sessions, each with one call after the other."""
        calls: list[tuple[float, str, float, float]] = []
        for session in "stuv":
            moments = sorted(self._dice.random() for _ in range(3 * calls_a_session))
            for began, moment, ended in zip(*[iter(moments)] * 3, strict=True):
                calls.append((moment, session, began, ended))
        for _, session, began, ended in sorted(calls):
            self._call(session, began, ended)

    def _call(self, session: str, began: float, ended: float) -> None:
        uri, head = self._dice.choice([A, B]), len(self.changes)
        version = self._versions.get(uri, 0)
        base = self._dice.choice([None, version, max(0, version - 1)])
        if version == 0 or (self._dice.random() < 0.4 and base in (None, version)):
            self._versions[uri] = version + 1
            self.changes.append((head + 1, uri, version + 1))
            made = operation("write", session, uri, version + 1, began, ended, base=base, log_offset=head + 1)
        elif base is not None and base != version:
            made = operation("refused", session, uri, version, began, ended, base=base)
        else:
            consistency = self._dice.choice(["causal", "strong", "eventual"])
            made = operation("read", session, uri, version, began, ended, consistency=consistency, log_offset=head)
        self.operations.append(made)


@settings(max_examples=200)
@given(seed=st.integers(0, 2**32))
def test_what_happens_at_one_moment_is_sound_and_whoever_was_answered_with_less_is_found(seed: int) -> None:
    register = Register(random.Random(seed))
    register.run(15)
    assert faults_of(register.operations, register.changes) == []
    for read_ in [one for one in register.operations if one.consistency == "strong" and one.version > 1]:
        older = replace(read_, version=read_.version - 1, log_offset=0)
        known = [one for one in register.operations if one.uri == older.uri and one.ended < older.began]
        if any(one.version > older.version for one in known):
            assert faults_of([older if one is read_ else one for one in register.operations], register.changes)
