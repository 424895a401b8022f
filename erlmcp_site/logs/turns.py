"""Turns in writing, so that lines stay whole where several processes of a node write to one pipe.

A pipe takes at most 4 KB in one piece; what is longer may be broken by what others write meanwhile.
"""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from django.conf import settings

PLACES = 2**62
"""Of so many bytes of the lock's file each stands for one place where lines go; there is nothing in it."""


class Turns:
    """Of this process in writing to a file descriptor. The system ends one with its process, however that ends."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._lock: int | None = None
        self._place = 0

    @contextmanager
    def taken(self) -> Iterator[None]:
        """Alone with the descriptor's file. Where nothing can be locked, everybody writes as it comes."""
        try:
            lock = self._opened()
            fcntl.lockf(lock, fcntl.LOCK_EX, 1, self._place)
        except OSError:
            yield
            return
        try:
            yield
        finally:
            fcntl.lockf(lock, fcntl.LOCK_UN, 1, self._place)

    def _opened(self) -> int:
        if self._lock is None:
            found = os.fstat(self._descriptor)
            # those who write elsewhere have nothing to wait for
            self._place = hash((found.st_dev, found.st_ino)) % PLACES
            self._lock = os.open(Path(settings.VAR_DIR) / "lines.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        return self._lock
