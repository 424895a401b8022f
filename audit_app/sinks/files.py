"""Lines in a file that is rotated by size and age, for Fluent Bit, Vector and the like to read."""

import fcntl
import os
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from audit_app.sinks.configuration import Target
from audit_app.sinks.receivers import Item, ReceiverAway

CHUNK = 65_536


class Files:
    """Appends to one file, from any number of processes: a lock file beside it orders them.

    What was written is on the disk when `send` returns. Whoever dies in the middle of a line leaves half of it, which
    the next one cuts off before it writes the same line again. A file that is full or old enough is renamed to the same
    name with the next number (audit.jsonl.1, .2, …, the newest with the highest), so it keeps its inode and a reader
    finds its end; `keep` of them stay, or all with 0.
    """

    def __init__(self, target: Target) -> None:
        self._path = Path(target.path)
        self._max_bytes = target.numbers["max_bytes"]
        self._max_seconds = target.numbers["max_seconds"]
        self._keep = target.numbers["keep"]

    def send(self, items: Sequence[Item], key: str) -> None:
        try:
            self._append(b"".join(item.line + b"\n" for item in items))
        except OSError as error:
            raise ReceiverAway(f"{self._path}: {error.strerror or error}") from error

    def close(self) -> None:
        """Nothing stays open."""

    def _append(self, lines: bytes) -> None:
        self._path.parent.mkdir(mode=0o750, parents=True, exist_ok=True)
        with self._locked() as lock:
            self._rotate(lock, len(lines))
            is_new = not self._path.exists()
            file = os.open(self._path, os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o640)
            try:
                _cut_half_a_line(file)
                _write(file, lines)
            finally:
                os.close(file)
            if is_new:
                _begin(lock)
                _sync_folder(self._path.parent)

    @contextmanager
    def _locked(self) -> Iterator[int]:
        """Alone with the file; the lock file holds the Unix time at which the file was begun."""
        lock = os.open(self._path.with_name(f"{self._path.name}.lock"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o640)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield lock
        finally:
            os.close(lock)

    def _rotate(self, lock: int, coming: int) -> None:
        if not self._path.exists():
            return
        status = self._path.stat()
        size = status.st_size
        age = time.time() - (_begun_at(lock) or status.st_mtime)
        is_old = bool(self._max_seconds) and age >= self._max_seconds
        if not size or not (is_old or size + coming > self._max_bytes):
            return
        kept = self._rotated()
        self._path.rename(self._path.with_name(f"{self._path.name}.{kept[-1] + 1 if kept else 1}"))
        for number in kept[: len(kept) + 1 - self._keep] if self._keep else ():
            self._path.with_name(f"{self._path.name}.{number}").unlink(missing_ok=True)
        _sync_folder(self._path.parent)

    def _rotated(self) -> list[int]:
        """The numbers of the files that were rotated, in order."""
        endings = (path.name.removeprefix(f"{self._path.name}.") for path in self._path.parent.iterdir())
        return sorted(int(ending) for ending in endings if ending.isascii() and ending.isdigit())


def _write(file: int, lines: bytes) -> None:
    """Append all of it, durably, or nothing. Raises OSError."""
    end = os.fstat(file).st_size
    left = memoryview(lines)
    try:
        while left:
            left = left[os.write(file, left) :]
        os.fsync(file)
    except OSError:
        os.ftruncate(file, end)
        raise


def _cut_half_a_line(file: int) -> None:
    """Cut what follows the last line break."""
    end = whole = os.fstat(file).st_size
    while whole:
        start = max(0, whole - CHUNK)
        at = os.pread(file, whole - start, start).rfind(b"\n")
        if at >= 0:
            whole = start + at + 1
            break
        whole = start
    if whole != end:
        os.ftruncate(file, whole)


def _begun_at(lock: int) -> float | None:
    text = os.pread(lock, 64, 0).strip()
    return float(text) if text.replace(b".", b"", 1).isdigit() else None


def _begin(lock: int) -> None:
    os.ftruncate(lock, 0)
    os.pwrite(lock, f"{time.time():.3f}\n".encode(), 0)


def _sync_folder(folder: Path) -> None:
    """Names are on the disk when their folder is."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
