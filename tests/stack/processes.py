"""Processes that end with the tests, whatever happens to the tests."""

import contextlib
import os
import random
import signal
import socket
import subprocess
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path

from tests.stack.waiting import Late, wait_until

END_WITH_PARENT = ("setpriv", "--pdeathsig", "KILL", "--")
"""Nothing of Python runs between fork and exec, which is not safe in a process of many threads."""

LOWEST_PORT = 15_000
KERNELS_PORTS = Path("/proc/sys/net/ipv4/ip_local_port_range")

_taken: list[socket.socket] = []


def free_port() -> int:
    """A TCP port of the loopback interface that nobody listens on, and that no other process of tests is given.

    It is none of those that the kernel gives to connections, where it leaves some: so nothing takes it by chance before
    its server listens, nor while that server is ended to be started again.
    """
    dice, highest = random.SystemRandom(), max(LOWEST_PORT * 2, int(KERNELS_PORTS.read_text().split()[0]))
    while True:
        port = dice.randrange(LOWEST_PORT, highest)
        claim = socket.socket(socket.AF_UNIX)
        try:
            claim.bind(f"\0erlmcp tests take port {port}")
            with socket.socket() as probe:
                probe.bind(("127.0.0.1", port))
        except OSError:
            claim.close()
            continue
        _taken.append(claim)
        return port


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
            [*END_WITH_PARENT, *self.command],
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

    def stop(self, within: float = 40, by: signal.Signals = signal.SIGTERM) -> int:
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
