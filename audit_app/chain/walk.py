"""Walking the trail entry by entry: each is what its hash says, follows the one before, and is what was signed."""

import re
from collections.abc import Callable, Iterator
from typing import Any

from audit_app.chain.bending import Bent
from audit_app.chain.canonical import Fields, hash_of
from audit_app.chain.checkpoints import ACTION, leaf_of, resource_id
from audit_app.chain.merkle import Tree
from audit_app.chain.rows import ENTRIES, PORTION, portions
from audit_app.chain.statements import START, Anchor, Statement
from audit_app.models import Checkpoint, Witness

Progress = Callable[[int, int], None]
"""Told how many entries were found good, and of how many; while archived ones are passed by, none of one. What it
raises ends the walk."""

NUMBER = re.compile(r"[0-9]{1,18}", re.ASCII)
FIELDS_AT = slice(1, -2)
ACTION_AT = ENTRIES.index("action")
OUTCOME_AT = ENTRIES.index("outcome")
RESOURCE_AT = ENTRIES.index("resource_id")


class Walk:
    """A walk along the entries and the statements of the checkpoints on them.

    `first` is where it began; `sequence` and `hash` are those of the last entry that was found good, `anchor` is the
    last such checkpoint. `tells` is whether an entry on the way told of a checkpoint.
    """

    def __init__(self, witness: Witness | None) -> None:
        self._witness = witness
        self._witnessed = witness.sequence if witness else 0
        self._statements: Iterator[Statement] = iter(())
        self._statement: Statement | None = None
        self._tree = Tree()
        self.checkpoints = 0
        self.tells = False
        self._begin_behind(START)

    def begin(self, anchor: Anchor, statements: Iterator[Statement], first: int, progress: Progress | None) -> None:
        """Begin behind the checkpoint `anchor`, or at `first`, when the entries before were archived.

        Raises Bent for a checkpoint on the way that is not in order.
        """
        self._begin_behind(anchor)
        self._statements = statements
        self._statement = next(statements, None)
        while self._statement is not None and self._statement.last < first:
            self._pass(self._statement)
            self._begin_behind(self.anchor)
            if progress:
                progress(0, 1)

    def go(self, until: int, progress: Progress | None, portion_size: int = PORTION) -> None:
        """Walk to the entry `until`, in portions. Raises Bent, and django.db.DatabaseError."""
        before = self.sequence
        for portion in portions(ENTRIES, self.sequence, until, portion_size):
            for row in portion:
                self._step(row)
            if progress:
                progress(self.sequence - before, until - before)
        if self.sequence < until:
            raise _missing(self.sequence + 1, until)

    def end(self) -> None:
        """The walk has reached the head of the trail, so there is no checkpoint beyond. Raises Bent."""
        statement = self._statement
        if statement is not None:
            what = f"the entries from {self.sequence + 1} to {statement.last}"
            raise Bent(self.sequence + 1, "missing", f"{what}, which checkpoint {statement.number} signed, are missing")

    def _begin_behind(self, anchor: Anchor) -> None:
        self.anchor = anchor
        self.first = anchor.last + 1
        self.sequence, self.hash = anchor.last, anchor.head

    def _step(self, row: tuple[Any, ...]) -> None:
        sequence, prev_hash, hash = row[0], row[-2], row[-1]
        if sequence != self.sequence + 1:
            raise _misplaced(sequence, self.sequence + 1)
        if not _is_genuine(row[FIELDS_AT], sequence, prev_hash, hash):
            raise Bent(sequence, "changed", "the entry is not what its hash says")
        if prev_hash != self.hash:
            # both are what their hashes say: either may have been replaced, unless the earlier one is signed
            at = sequence if self.sequence == self.anchor.last else self.sequence
            raise Bent(at, "unlinked", f"entry {sequence} does not name the hash of the entry before it")
        if sequence == self._witnessed and self._witness is not None and hash != self._witness.hash:
            raise Bent(sequence, "witness", "the main database remembers another hash of this entry")
        if row[ACTION_AT] == ACTION and row[OUTCOME_AT] == "success":
            self._check_told(sequence, row[RESOURCE_AT])
        self.sequence, self.hash = sequence, hash
        self._tree.add(leaf_of(hash))
        if self._statement is not None and sequence == self._statement.last:
            self._compare(self._statement)
            self._pass(self._statement)

    def _compare(self, statement: Statement) -> None:
        if (statement.head, statement.root) != (self.hash, self._tree.root.hex()):
            what = f"the entries from {statement.first} to {statement.last}"
            raise Bent(statement.first, "checkpoint", f"{what} are not those that checkpoint {statement.number} signed")

    def _pass(self, statement: Statement) -> None:
        self.anchor = Anchor.at(statement)
        self.checkpoints += 1
        self._tree = Tree()
        self._statement = next(self._statements, None)

    def _check_told(self, sequence: int, told: str) -> None:
        """An entry tells of a checkpoint; the walk has passed it, or it was made after the walk began."""
        self.tells = True
        if told == resource_id(self.anchor.number):
            return
        number = told.rpartition("/")[2]
        if not NUMBER.fullmatch(number) or not Checkpoint.objects.filter(number=number).exists():
            raise Bent(sequence, "checkpoint", f"the entry tells of {told}, which is gone")


def _is_genuine(fields: Fields, sequence: int, prev_hash: str, hash: str) -> bool:
    try:
        return hash_of(fields, sequence, prev_hash) == hash
    except TypeError:
        # bytes, or text that is not UTF-8, where SQLite lets anybody put them
        return False


def _misplaced(sequence: int, expected: int) -> Bent:
    if sequence < expected:
        return Bent(sequence, "surplus", f"an entry stands at {sequence} where none can be")
    return _missing(expected, sequence - 1)


def _missing(first: int, last: int) -> Bent:
    what = f"the entry {first} is" if first == last else f"the entries from {first} to {last} are"
    return Bent(first, "missing", f"{what} missing")
