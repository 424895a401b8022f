"""Archives: entries that have left the trail, as JSON Lines in a file that anybody can check against checkpoints.

A file has the entries of whole checkpoints and nothing else. Its lines are the entries' records (contract §8).
"""

import gzip
import hashlib
import os
import re
import zlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, cast

import orjson
from django.conf import settings

from audit_app.chain.bending import Bent
from audit_app.chain.canonical import FIELDS, Fields, details_text, hash_of
from audit_app.chain.checkpoints import leaf_of
from audit_app.chain.keys import PublicKeys
from audit_app.chain.merkle import Tree
from audit_app.chain.second_place import SecondPlace
from audit_app.chain.statement_chain import anchor_at, checked_statements
from audit_app.chain.statements import START, Anchor, Statement
from audit_app.chain.trust import Keyring
from audit_app.models import AuditEntry, Checkpoint
from audit_app.queries import entry_json

PORTION = 1000
NAME = re.compile(r"trail-([1-9][0-9]{0,18})-([1-9][0-9]{0,18})\.jsonl\.gz")
PLACES = frozenset({"sequence", "prev_hash", "hash"})
KNOWN = PLACES | set(FIELDS)


@dataclass(frozen=True, slots=True)
class Span:
    """The entries from `first` to `last`, which are those of whole checkpoints."""

    first: int
    last: int

    @property
    def entries(self) -> int:
        return self.last - self.first + 1

    @property
    def name(self) -> str:
        """What its archive is called."""
        return f"trail-{self.first}-{self.last}.jsonl.gz"

    @classmethod
    def of(cls, name: str) -> "Span | None":
        """What an archive of this name has; None when it is not the name of one."""
        match = NAME.fullmatch(name)
        return cls(int(match[1]), int(match[2])) if match else None


@dataclass(frozen=True, slots=True)
class Checked:
    """An archive that is in order: how many checkpoints it has, and where the keys that signed them were found."""

    span: Span
    checkpoints: int
    keys: Mapping[str, str]


def write_archive(path: Path, span: Span) -> None:
    """Write the entries of a span to a file of its own, durably; it is there when it is whole, and was found in order.

    Raises OSError; Bent and ValueError as `check_archive` does.
    """
    part = path.with_name(f"{path.name}.part")
    part.unlink(missing_ok=True)
    descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with open(descriptor, "wb") as file:  # noqa: PTH123  # by its descriptor
        # without a time, so that the same entries are the same bytes
        with gzip.GzipFile(fileobj=file, mode="wb", filename="", mtime=0) as packed:
            for line in _lines(span):
                packed.write(line)
        file.flush()
        os.fsync(file.fileno())
    check_file(part, span)
    part.replace(path)
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def check_archive(path: Path, pinned: PublicKeys | None = None) -> Checked:
    """Check a file against the checkpoints that this database and the second place keep.

    With `pinned` keys no other key is believed. Raises Bent for the first entry that is not in order, OSError when the
    file cannot be read, ValueError when it is not an archive.
    """
    span = Span.of(path.name)
    if span is None:
        raise ValueError(f"{path.name} is not the name of an archive")
    return check_file(path, span, pinned)


def check_file(path: Path, span: Span, pinned: PublicKeys | None = None) -> Checked:
    """The same, of a file whatever its name, which has to have the entries of a span."""
    second = SecondPlace(settings.AUDIT_CHECKPOINT_FILE)
    keys = Keyring(second, pinned)
    before = Checkpoint.objects.filter(last=span.first - 1).first()
    newest = Checkpoint.objects.filter(last=span.last).first()
    if newest is None or (span.first > 1 and before is None):
        raise ValueError(f"no checkpoint begins at {span.first}, or none ends at {span.last}")
    anchor = anchor_at(before, keys) if before else START
    statements = checked_statements(anchor, newest.number, second, second.size(), keys)
    try:
        with gzip.open(path, "rb") as file:
            count = check_lines(cast(IO[bytes], file), anchor, statements)
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise ValueError(f"{path.name} is damaged: {error}") from None
    return Checked(span, count, keys.sources)


def check_lines(lines: Iterable[bytes], anchor: Anchor, statements: Iterator[Statement]) -> int:
    """Check the lines of entries behind an anchor against the statements on them; returns how many those were.

    Every entry has to be what its hash says, follow the one before, and be what was signed; there has to be a line for
    each entry that the statements are on, and no other. Raises Bent.
    """
    sequence, prev_hash, tree, count = anchor.last, anchor.head, Tree(), 0
    statement = next(statements, None)
    for line in lines:
        if statement is None:
            raise Bent(sequence + 1, "surplus", "there are lines behind the last entry that was signed")
        sequence += 1
        prev_hash = _checked(line, sequence, prev_hash)
        tree.add(leaf_of(prev_hash))
        if sequence == statement.last:
            if (statement.head, statement.root) != (prev_hash, tree.root.hex()):
                what = f"the entries from {statement.first} to {statement.last}"
                raise Bent(
                    statement.first, "checkpoint", f"{what} are not those that checkpoint {statement.number} signed"
                )
            statement, tree, count = next(statements, None), Tree(), count + 1
    if statement is not None:
        raise Bent(sequence + 1, "missing", f"the entries from {sequence + 1} to {statement.last} are missing")
    return count


def digest_of(path: Path) -> str:
    """SHA-256 of a file, in hex."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _lines(span: Span) -> Iterator[bytes]:
    rows = AuditEntry.objects.filter(sequence__lte=span.last).order_by("sequence")
    after = span.first - 1
    while entries := list(rows.filter(sequence__gt=after)[:PORTION]):
        for entry in entries:
            yield orjson.dumps(entry_json(entry), option=orjson.OPT_UTC_Z | orjson.OPT_APPEND_NEWLINE)
        after = entries[-1].sequence


def _checked(line: bytes, sequence: int, prev_hash: str) -> str:
    """The hash of an entry that is in order. Raises Bent."""
    record = _record(line, sequence)
    if record["sequence"] != sequence:
        raise Bent(sequence, "missing", f"the entry {sequence} is not where it should be")
    try:
        record["details"] = details_text(record["details"])
        fields = tuple(record.get(name, "") for name in FIELDS)
        is_genuine = hash_of(cast(Fields, fields), sequence, record["prev_hash"]) == record["hash"]
    except (TypeError, RecursionError):
        # no value of ours is a list, or nested a thousand times
        is_genuine = False
    if not is_genuine:
        raise Bent(sequence, "changed", "the entry is not what its hash says")
    if record["prev_hash"] != prev_hash:
        raise Bent(sequence, "unlinked", "the entry names another hash than the one before has")
    return str(record["hash"])


def _record(line: bytes, sequence: int) -> dict[str, Any]:
    try:
        record = orjson.loads(line)
    except orjson.JSONDecodeError:
        record = None
    if not isinstance(record, dict) or record.keys() | {"code"} != KNOWN:
        raise Bent(sequence, "changed", "the line is not an entry")
    return record
