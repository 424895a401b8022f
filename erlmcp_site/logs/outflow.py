"""Where log lines leave the process: standard error, which nobody who logs ever waits for while a process serves."""

import contextlib
import os
import select
import threading
from collections import deque
from collections.abc import Callable
from typing import Any

from erlmcp_site.logs.turns import Turns
from telemetry_app.metrics import LOG_LINES_LOST

MOST_LINES = 20_000
"""How many may wait to be written; more are lost, and counted."""

GATHER_SECONDS = 0.05
"""How long lines gather before they are written together: each waking of the thread costs what ten lines do."""

LOOK_SECONDS = 1.0
WHOLE = select.PIPE_BUF
"""So many bytes go into a pipe in one piece, whoever else writes to it: those who take no turns, too."""


class Outflow:
    """Lines on their way to a file descriptor. Until `begin`, and in processes that never do, they go there directly.

    `lookers` are called about once a second by the thread, and with True before the end: what they put is written.
    """

    def __init__(self, descriptor: int, most: int = MOST_LINES) -> None:
        self.lookers: list[Callable[[bool], None]] = []
        self._descriptor = descriptor
        self._turns = Turns(descriptor)
        self._most = most
        self._waiting: deque[tuple[Callable[..., str], tuple[Any, ...]]] = deque()
        self._lost = 0
        self._thread: threading.Thread | None = None
        self._something = threading.Event()
        self._ends = threading.Event()
        # taken again where what is written makes the garbage collector run a finalizer that logs
        self._writing = threading.RLock()

    def put(self, make: Callable[..., str], *of: Any) -> None:
        """Write the line that `make(*of)` makes; while a thread writes, it makes it, too."""
        if self._thread is None:
            self._write([make(*of)])
        elif len(self._waiting) < self._most:
            self._waiting.append((make, of))
            if not self._something.is_set():
                self._something.set()
        else:
            self._lose()

    def take_lost(self) -> int:
        """How many lines were lost since this was asked last; 0 while there is no room for a line that says so."""
        if len(self._waiting) >= self._most:
            return 0
        lost, self._lost = self._lost, 0
        return lost

    def begin(self) -> None:
        """Have a thread write from now on."""
        if self._thread is None:
            self._ends.clear()
            self._thread = threading.Thread(target=self._work, name="log lines", daemon=True)
            self._thread.start()

    def end(self, within: float) -> bool:
        """Write what waits, and directly from then on. False when that was not done within some seconds: whoever logs
        still waits for nobody then."""
        thread = self._thread
        if thread is None:
            self._finish()
            return True
        self._ends.set()
        self._something.set()
        thread.join(within)
        if thread.is_alive():
            return False
        self._thread = None
        self._drain()
        return True

    def _work(self) -> None:
        while not self._ends.is_set():
            if self._something.wait(LOOK_SECONDS):
                self._ends.wait(GATHER_SECONDS)
                self._something.clear()
                self._drain()
            self._look(is_last=False)
        self._finish()

    def _finish(self) -> None:
        self._drain()
        self._look(is_last=True)
        self._drain()

    def _look(self, *, is_last: bool) -> None:
        for look in list(self.lookers):
            look(is_last)

    def _drain(self) -> None:
        lines: list[str] = []
        while self._waiting:
            make, of = self._waiting.popleft()
            try:
                lines.append(make(*of))
            except Exception:
                # there is nowhere to say why
                self._lose()
            if len(lines) == 256:
                self._write(lines)
                lines = []
        self._write(lines)

    def _lose(self) -> None:
        self._lost += 1
        LOG_LINES_LOST.inc()

    def _write(self, lines: list[str]) -> None:
        """Write lines, as many together as go into a pipe in one piece."""
        with self._writing, contextlib.suppress(OSError):
            piece: list[bytes] = []
            size = 0
            for line in lines:
                data = line.encode(errors="backslashreplace")
                if size + len(data) >= WHOLE:
                    self._write_piece(piece)
                    piece, size = [], 0
                piece.append(data)
                size += len(data) + 1
            self._write_piece(piece)

    def _write_piece(self, lines: list[bytes]) -> None:
        piece = b"\n".join([*lines, b""])
        if not piece:
            return
        with self._turns.taken():
            while piece:
                try:
                    piece = piece[os.write(self._descriptor, piece) :]
                except BlockingIOError:
                    # whoever has given us this file has it wait for nothing
                    select.select([], [self._descriptor], [])


standard_error = Outflow(2)
