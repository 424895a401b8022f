"""Processes of services: started, asked whether they are ready, started again when they die, and ended."""

import os
import signal
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from deploy.boot.services import Service
from erlmcp_site.serving.supervisor import die_with

ROOT = Path(__file__).resolve().parents[2]
PAUSE_SECONDS = 0.1


class Failed(Exception):
    """A service did not come up; the message says which, and how its output ends."""


class Running:
    """One service and its process. Its output goes to `log`, from start to start.

    `command` and `environment` are complete. `is_ready` says whether it serves. `user` is who runs it, None: as we do.
    """

    def __init__(
        self,
        service: Service,
        command: Sequence[str],
        environment: Mapping[str, str],
        is_ready: Callable[[], bool],
        log: Path,
        user: str | None = None,
    ) -> None:
        self.service = service
        self.log = log
        self._command = command
        self._environment = environment
        self._is_ready = is_ready
        self._user = user
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        with self.log.open("ab") as output:
            self._process = subprocess.Popen(
                self._command,
                cwd=ROOT if self._user is None else "/",
                env=self._environment,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                user=self._user,
                extra_groups=None if self._user is None else [],
                process_group=0,  # a terminal's Ctrl-C is for us, who end them in their order
                preexec_fn=die_with(os.getpid()),
            )

    @property
    def status(self) -> int | None:
        """How its process has ended, None while it runs."""
        return None if self._process is None else self._process.poll()

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    def await_ready(self, within: float) -> None:
        """Return when it serves, or, of a job, when it has done its work. Raises Failed."""
        until = time.monotonic() + within
        while True:
            status = self.status
            if status is not None and (status or not self.service.is_job):
                raise Failed(f"{self.service.name} ended with status {status}:\n{self.log.read_text()[-4000:]}")
            if status == 0 or (not self.service.is_job and self._is_ready()):
                return
            if time.monotonic() > until:
                raise Failed(f"{self.service.name} is not up after {within:g} s:\n{self.log.read_text()[-4000:]}")
            # a program of others tells nobody that it is ready: it is asked again
            time.sleep(PAUSE_SECONDS)

    def tell_to_end(self) -> None:
        if self._process is not None and self.status is None:
            self._process.send_signal(signal.Signals[self.service.stop_signal])

    def await_end(self) -> bool:
        """Whether it ended by itself within its time; else it is killed."""
        if self._process is None:
            return True
        try:
            self._process.wait(self.service.stop_seconds)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
            return False
        return True


def succeeds(command: Sequence[str], environment: Mapping[str, str]) -> bool:
    """Whether a command ends with status 0."""
    return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True).returncode == 0
