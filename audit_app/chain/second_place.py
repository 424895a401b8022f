"""Checkpoints in a second place: an append-only file of JSON lines, and the keys that this machine has signed with.

What somebody does to the audit database does not change this file, and keeping it on another machine, or in a store
that cannot be overwritten, is a matter of copying it. The file follows the database: it may lack the last checkpoints
when a process dies, never one in between.
"""

import fcntl
import logging
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import orjson

from audit_app.chain.canonical import digest
from audit_app.chain.keys import Signer
from audit_app.chain.statements import START, Anchor, Malformed, Signed, parse_payload, parse_signed
from audit_app.models import Checkpoint

log = logging.getLogger(__name__)

PORTION = 1000
MOST_BYTES = 64 * 1024
"""No line of ours is longer."""


@dataclass(frozen=True, slots=True)
class SecondPlace:
    """The file with the checkpoints; the public keys lie next to it, in PEM."""

    path: Path

    @property
    def keys_path(self) -> Path:
        return self.path.with_name(f"{self.path.name}.keys")

    @property
    def verified_path(self) -> Path:
        """Where it is kept which checkpoint was verified last."""
        return self.path.with_name(f"{self.path.name}.verified")

    def follow(self) -> int:
        """Append the checkpoints that the file does not have yet, durably. Returns how many.

        Nothing is appended to a file that the database contradicts; that is logged each time, for somebody has changed
        one of them. Raises OSError.
        """
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with self.path.open("a+b") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            _cut_torn_line(file)
            count = self._append_to(file)
            if count:
                file.flush()
                os.fsync(file.fileno())
        return count

    def remember(self, signer: Signer) -> None:
        """Keep a public key next to the file, once. Raises OSError."""
        self.keys_path.parent.mkdir(parents=True, exist_ok=True)
        with self.keys_path.open("a+b") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            file.seek(0)
            if signer.public_key.encode() not in file.read():
                file.write(signer.public_key.encode())
                file.flush()
                os.fsync(file.fileno())

    def keys(self) -> bytes:
        """The public keys that were kept, in PEM; nothing when there is no file."""
        return self.keys_path.read_bytes() if self.keys_path.exists() else b""

    def size(self) -> int:
        return self.path.stat().st_size if self.path.exists() else 0

    def read(self, size: int) -> Iterator[tuple[int, Signed | None]]:
        """Line number and checkpoint of each whole line among the first `size` bytes; None for what is none."""
        if not size:
            return
        with self.path.open("rb") as file:
            for number, line in enumerate(iter(lambda: file.readline(MOST_BYTES), b""), 1):
                if file.tell() > size or (file.tell() == size and not line.endswith(b"\n")):
                    return
                try:
                    yield number, parse_signed(line)
                except Malformed:
                    yield number, None

    def _append_to(self, file: BinaryIO) -> int:
        try:
            anchor = _last_in(file)
        except Malformed as error:
            log.error("%s ends with a line that is no checkpoint: %s", self.path, error)
            return 0
        if anchor != START and not self._agrees(anchor):
            return 0
        count = 0
        stored = Checkpoint.objects.order_by("number")
        while portion := list(stored.filter(number__gt=anchor.number)[:PORTION]):
            for checkpoint in portion:
                try:
                    statement = parse_payload(checkpoint.payload)
                except Malformed as error:
                    log.error("checkpoint %d in the audit database is none: %s", checkpoint.number, error)
                    return count
                if (statement.number, statement.previous) != (anchor.number + 1, anchor.digest):
                    log.error("checkpoint %d does not go on from the last one in %s", statement.number, self.path)
                    return count
                file.write(orjson.dumps(Signed(statement, checkpoint.signature).as_json()) + b"\n")
                anchor = Anchor.at(statement)
                count += 1
        return count

    def _agrees(self, anchor: Anchor) -> bool:
        stored = Checkpoint.objects.filter(number=anchor.number).first()
        agrees = stored is not None and digest(stored.payload.encode()) == anchor.digest
        if not agrees:
            log.error("checkpoint %d in %s is not that of the audit database", anchor.number, self.path)
        return agrees


def _cut_torn_line(file: BinaryIO) -> None:
    """Take away what was written of a line when a process died or the disk was full."""
    size = file.seek(0, os.SEEK_END)
    file.seek(max(0, size - MOST_BYTES))
    tail = file.read()
    if tail and not tail.endswith(b"\n"):
        file.truncate(size - len(tail) + tail.rfind(b"\n") + 1)


def _last_in(file: BinaryIO) -> Anchor:
    size = file.seek(0, os.SEEK_END)
    if not size:
        return START
    file.seek(max(0, size - MOST_BYTES))
    return Anchor.at(parse_signed(file.read().splitlines()[-1]).statement)
