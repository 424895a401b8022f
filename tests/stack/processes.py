"""Processes that end with the tests, whatever happens to the tests."""

import contextlib
import ctypes
import os
import signal
import socket
import subprocess
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path

from tests.stack.waiting import Late, wait_until

PR_SET_PDEATHSIG = 1

_libc = ctypes.CDLL(None)


def free_port() -> int:
    """A TCP port of the loopback interface that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    return port


def _die_with_parent() -> None:
    _libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


class Process:
    """A child process in a process group of its own, with its output at hand.

    `lines` grows while the process runs; standard error is in it too.
    """

    def __init__(
        self,
        command: Sequence[str],
        *,
        folder: Path,
        environment: Mapping[str, str] | None = None,
        as_nobody: bool = False,
    ) -> None:
        self.command = list(command)
        self.lines: list[str] = []
        self._process = subprocess.Popen(
            self.command,
            cwd=folder,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            start_new_session=True,
            user="nobody" if as_nobody else None,
            group="nogroup" if as_nobody else None,
            extra_groups=[] if as_nobody else None,
            preexec_fn=_die_with_parent,
        )
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def is_running(self) -> bool:
        return self._process.poll() is None

    @property
    def output(self) -> str:
        return "\n".join(self.lines)

    def send(self, sent: signal.Signals) -> None:
        """Send a signal to the process itself; nothing happens when it has ended."""
        if self.is_running:
            self._process.send_signal(sent)

    def wait(self, within: float) -> int:
        """The exit status. Raises Late when the process is still there after `within` seconds."""
        try:
            status = self._process.wait(within)
        except subprocess.TimeoutExpired:
            raise Late(f"{self.command} still runs after {within} s:\n{self.output}") from None
        self._reader.join(5)
        return status

    def stop(self, within: float = 30, by: signal.Signals = signal.SIGTERM) -> int:
        """End it with a signal, and if it does not end, the whole group by force. Returns the exit status."""
        self.send(by)
        try:
            return self.wait(within)
        except Late:
            self.kill()
            raise

    def kill(self) -> None:
        """kill -9 to the process and everything in its group."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.pid, signal.SIGKILL)
        self.wait(10)

    def await_line(self, part: str, within: float) -> str:
        """The first line that holds `part`. Raises Late; AssertionError when the process ends without it."""

        def found() -> str | None:
            running = self.is_running
            line = next((line for line in self.lines if part in line), None)
            assert line or running, f"{self.command} ended:\n{self.output}"
            return line

        line = wait_until(found, within, f"{part!r} in the output of {self.command}")
        assert line is not None
        return line

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            self.lines.append(line.rstrip("\n"))
