"""Histories: what callers did and saw, checked afterwards against what contract §3 promises of it.

An operation is one call as its caller saw it, or one event that a follower was handed. The log, read from the database
in the end, says which change has which offset, version and URI. `faults_of` then looks for:

- *read your writes*, *monotonic reads*, *causality*: a causal or strong read that does not reflect what its session had
  written, been shown, or been told the log reached, by an answer that came before the read was made, on whichever node.
- *log offset*: an answer that claims (by Log-Offset) more of the log than it reflects.
- *going back*: a causal or strong read that claims less of the log than its session had been told before.
- *real time*: linearizability. The versions of a resource, and the offsets of the log, tell in which order changes were
  made; changes, strong reads and refusals of a compare-and-set have to lie in that order as they lay in time: nothing
  older than what anybody had been answered before it began, nothing that was not begun when it had ended.
- *compare and set*: a change accepted on another base than the version before it, or refused on the present one.
- *log*: an accepted change that is not in the log as it was answered, or a change in the log that nobody made.

An eventual read promises nothing, but what it has shown binds the causal reads after it. Two operations are ordered if
one had ended before the other began; those that overlap may lie in any order. Resources are never deleted in a history.
"""

from bisect import bisect_left, bisect_right
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

Kind = Literal["read", "write", "refused", "pushed"]


@dataclass(frozen=True, kw_only=True)
class Operation:
    """What one caller did.

    `began` and `ended` are seconds of one monotonic clock, around the call; for an event they are when it came.
    `version` is the one written, read, pushed, or told by a refusal as the present one. `base` is that of a
    compare-and-set. `log_offset` is what the answer claimed to reflect, 0 where the transport does not say.
    """

    kind: Kind
    session: str
    node: int
    uri: str
    version: int
    began: float
    ended: float
    consistency: str = ""
    base: int | None = None
    log_offset: int = 0

    @property
    def promises(self) -> bool:
        """Whether it is a read that promises something."""
        return self.kind == "read" and self.consistency != "eventual"

    @property
    def is_strong(self) -> bool:
        """Whether it reflects the present, whoever changed it."""
        return self.kind in ("write", "refused") or self.consistency == "strong"


@dataclass(frozen=True)
class Fault:
    """A promise that an operation broke; `why` is for people."""

    rule: str
    operation: Operation
    why: str


class Log:
    """The log as (offset, URI, version), in the order of offsets."""

    def __init__(self, changes: Iterable[tuple[int, str, int]]) -> None:
        self._offsets: dict[str, list[int]] = defaultdict(list)
        self._versions: dict[str, list[int]] = defaultdict(list)
        self._found: dict[tuple[str, int], int] = {}
        for offset, uri, version in sorted(changes):
            self._offsets[uri].append(offset)
            self._versions[uri].append(version)
            self._found[uri, version] = offset

    def __iter__(self) -> Iterator[tuple[str, int]]:
        return iter(self._found)

    def offset(self, uri: str, version: int) -> int:
        """The offset of a version; 0 when it is not in the log."""
        return self._found.get((uri, version), 0)

    def version(self, uri: str, offset: int) -> int:
        """The version that was the present one at an offset; 0 when there was none."""
        index = bisect_right(self._offsets[uri], offset)
        return self._versions[uri][index - 1] if index else 0


@dataclass
class Greatest:
    """The greatest value among operations that had ended by a moment, and the operation that it is of."""

    _times: list[float] = field(default_factory=list)
    _greatest: list[tuple[int, Operation]] = field(default_factory=list)

    def add(self, value: int, operation: Operation) -> None:
        """To be called in the order of ends."""
        before = self._greatest[-1] if self._greatest else None
        self._times.append(operation.ended)
        self._greatest.append((value, operation) if before is None or value > before[0] else before)

    def before(self, moment: float) -> tuple[int, Operation | None]:
        """(0, None) when none had ended."""
        index = bisect_left(self._times, moment)
        return self._greatest[index - 1] if index else (0, None)


def faults_of(operations: Sequence[Operation], changes: Iterable[tuple[int, str, int]]) -> list[Fault]:
    """Every broken promise of a history, in the order of the rules; `changes` is the log as (offset, URI, version)."""
    log = Log(changes)
    by_end = sorted(operations, key=lambda operation: operation.ended)
    return [
        *_against_the_log(by_end, log),
        *_against_the_session(by_end, log),
        *_against_real_time(by_end, log),
        *_compare_and_set(by_end),
    ]


def _against_the_log(operations: Sequence[Operation], log: Log) -> Iterator[Fault]:
    """Whether the log has every accepted change, once, and no other; whether answers claim what they reflect."""
    written: set[tuple[str, int]] = set()
    for operation in operations:
        if not log.offset(operation.uri, operation.version):
            yield Fault("log", operation, "the log has no such version")
        if operation.kind == "write":
            if (operation.uri, operation.version) in written:
                yield Fault("log", operation, "two changes were answered with this version")
            written.add((operation.uri, operation.version))
        claimed = log.version(operation.uri, operation.log_offset)
        if claimed > operation.version:
            yield Fault("log offset", operation, f"the log had version {claimed} at offset {operation.log_offset}")
    for uri, version in log:
        if (uri, version) not in written:
            nobody = Operation(kind="write", session="", node=0, uri=uri, version=version, began=0, ended=0)
            yield Fault("log", nobody, "nobody made this change")


def _against_the_session(operations: Sequence[Operation], log: Log) -> Iterator[Fault]:
    """Whether causal and strong reads reflect what their session had written or been told."""
    told: dict[str, Greatest] = defaultdict(Greatest)
    claimed: dict[str, Greatest] = defaultdict(Greatest)
    own: dict[tuple[str, str, bool], Greatest] = defaultdict(Greatest)
    for operation in operations:
        told[operation.session].add(max(log.offset(operation.uri, operation.version), _claim(operation)), operation)
        claimed[operation.session].add(_claim(operation), operation)
        own[operation.session, operation.uri, operation.kind == "write"].add(operation.version, operation)
    for read in operations:
        if not read.promises:
            continue
        rules: Mapping[str, tuple[int, Operation | None]] = {
            "read your writes": own[read.session, read.uri, True].before(read.began),
            "monotonic reads": own[read.session, read.uri, False].before(read.began),
        }
        offset, source = told[read.session].before(read.began)
        rules = {**rules, "causality": (log.version(read.uri, offset), source)}
        for rule, (version, before) in rules.items():
            if read.version < version:
                yield Fault(rule, read, f"the session knew version {version} by {before}")
                break
        offset, before = claimed[read.session].before(read.began)
        if 0 < read.log_offset < offset:
            yield Fault("going back", read, f"the session had been told offset {offset} by {before}")


def _claim(operation: Operation) -> int:
    """The offset that an answer told its session for good: an eventual read does not."""
    return operation.log_offset if operation.promises or operation.kind != "read" else 0


def _against_real_time(operations: Sequence[Operation], log: Log) -> Iterator[Fault]:
    """Whether the order of versions and offsets is one in which everything can have happened when it did."""
    known: dict[str, Greatest] = defaultdict(Greatest)
    written = Greatest()
    begun: dict[tuple[str, int], float] = {}
    for operation in operations:
        known[operation.uri].add(operation.version, operation)
        if operation.kind == "write":
            written.add(log.offset(operation.uri, operation.version), operation)
            begun[operation.uri, operation.version] = operation.began
    for operation in operations:
        if begun.get((operation.uri, operation.version), operation.began) > operation.ended:
            yield Fault("real time", operation, "the change that it shows was begun later")
        if not operation.is_strong:
            continue
        is_write = operation.kind == "write"
        version, before = known[operation.uri].before(operation.began)
        if operation.version < version + is_write:
            yield Fault("real time", operation, f"version {version} was known by {before}")
        offset, before = written.before(operation.began)
        position = log.offset(operation.uri, operation.version) if is_write else operation.log_offset
        if operation.kind != "refused" and 0 < position < offset:
            yield Fault("real time", operation, f"offset {offset} had been answered to {before}")


def _compare_and_set(operations: Sequence[Operation]) -> Iterator[Fault]:
    for operation in operations:
        if operation.base is None:
            continue
        if operation.kind == "write" and operation.version != operation.base + 1:
            yield Fault("compare and set", operation, "it was accepted on an old base")
        if operation.kind == "refused" and operation.version == operation.base:
            yield Fault("compare and set", operation, "it was refused on the present version")
