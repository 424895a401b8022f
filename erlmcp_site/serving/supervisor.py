"""Keeping processes alive, and ending them: what `manage.py serve` does once everything is prepared."""

import ctypes
import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from types import FrameType

from erlmcp_site.serving.ending import HURRIED_SECONDS, WORKER_SECONDS, serving_seconds
from erlmcp_site.serving.parts import Part, child_environment

FIRST_PAUSE = 0.25
LONGEST_PAUSE = 15.0
STEADY_SECONDS = 20.0
PR_SET_PDEATHSIG = 1


@dataclass(slots=True)
class Child:
    """A part and its process, if it has one now; times are of the monotonic clock."""

    part: Part
    process: "subprocess.Popen[bytes] | None" = None
    started: float = 0.0
    start_at: float = 0.0
    pause: float = FIRST_PAUSE


class Supervisor:
    """Runs parts until a signal says stop, and starts again whatever ends before that.

    `say` is given a line for people whenever something happens. `run` may be called once, in the main thread of a
    process that has no other threads.
    """

    def __init__(self, parts: Sequence[Part], ready: int, on_ready: Callable[[], None], say: Callable[[str], None]):
        self._children = [Child(part) for part in parts]
        self._ready = ready
        self._on_ready = on_ready
        self._say = say
        self._awaited = sum(part.serves for part in parts)
        self._signals: list[int] = []
        self._stopping_since: float | None = None
        self._told_others_at: float | None = None
        self._hurried_at: float | None = None
        self._has_cut = False

    def run(self) -> bool:
        """Return when a signal has come and all parts have ended, which takes no longer than ending.py says.

        Whether they ended by themselves, and nothing was cut off.
        """
        woken, wakes = os.pipe()
        os.set_blocking(wakes, False)
        signal.set_wakeup_fd(wakes, warn_on_full_buffer=False)
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, self._note)
        signal.signal(signal.SIGCHLD, lambda number, frame: None)
        while True:
            self._look()
            if self._stopping_since is not None and not any(child.process for child in self._children):
                return not self._has_cut
            watched = [woken, self._ready] if self._awaited else [woken]
            readable, _, _ = select.select(watched, [], [], self._until_next())
            for fd in readable:
                told = len(os.read(fd, 4096))
                if fd == self._ready:
                    self._count_ready(told)

    def _note(self, number: int, frame: FrameType | None) -> None:
        self._signals.append(number)

    def _count_ready(self, told: int) -> None:
        self._awaited = max(0, self._awaited - told)
        if not self._awaited:
            self._on_ready()

    def _look(self) -> None:
        now = time.monotonic()
        while self._signals:
            self._signals.pop()
            self._stop(now)
        for child in self._children:
            if child.process is not None and child.process.poll() is not None:
                self._ended(child, child.process, now)
            if child.process is None and self._stopping_since is None and now >= child.start_at:
                self._start(child, now)
        if self._stopping_since is not None:
            self._go_on_stopping(self._stopping_since, now)

    def _until_next(self) -> float | None:
        """Seconds until something has to be done without being woken."""
        if self._stopping_since is not None:
            return 0.1
        starts = [child.start_at for child in self._children if child.process is None]
        return max(0.0, min(starts) - time.monotonic()) if starts else None

    def _start(self, child: Child, now: float) -> None:
        child.started = now
        child.process = subprocess.Popen(
            child.part.command,
            env=child_environment(),
            pass_fds=child.part.fds,
            stdin=subprocess.DEVNULL,
            process_group=0,  # a terminal's Ctrl-C is for the supervisor, which tells the parts in their order
            preexec_fn=_die_with(os.getpid()),
        )

    def _ended(self, child: Child, process: "subprocess.Popen[bytes]", now: float) -> None:
        child.process = None
        if self._stopping_since is not None:
            if child.part.serves and process.returncode != 0:
                self._has_cut = True
                self._say(f"{child.part.name} could not finish everything that was under way")
            return
        if now - child.started >= STEADY_SECONDS:
            child.pause = FIRST_PAUSE
        child.start_at = now + child.pause
        self._say(
            f"{child.part.name} (pid {process.pid}) ended {_how(process.returncode)}; "
            f"it is started again in {child.pause:g} s"
        )
        child.pause = min(child.pause * 2, LONGEST_PAUSE)

    def _stop(self, now: float) -> None:
        if self._stopping_since is None:
            self._stopping_since = now
            self._say("stopping; once more to stop at once")
            self._signal(signal.SIGTERM, serving=True)
        elif self._hurried_at is None:
            # web processes let go of everything and write what waits; what a task had begun is done again
            self._hurried_at = now
            self._signal(signal.SIGTERM, serving=True)
            self._signal(signal.SIGKILL, serving=False)

    def _go_on_stopping(self, since: float, now: float) -> None:
        serving = any(child.process for child in self._children if child.part.serves)
        late = now - since >= serving_seconds() or (
            self._hurried_at is not None and now - self._hurried_at >= HURRIED_SECONDS
        )
        if serving and late:
            self._kill(serving=True)
        elif not serving and self._told_others_at is None:
            self._told_others_at = now
            self._signal(signal.SIGTERM, serving=False)
        elif self._told_others_at is not None and now - self._told_others_at >= WORKER_SECONDS:
            self._kill(serving=False)

    def _kill(self, *, serving: bool) -> None:
        late = [child.part.name for child in self._children if child.process and child.part.serves is serving]
        if late:
            self._has_cut = True
            self._say(f"ending by force: {', '.join(late)}")
            self._signal(signal.SIGKILL, serving=serving)

    def _signal(self, number: int, *, serving: bool) -> None:
        for child in self._children:
            if child.process is not None and child.part.serves is serving:
                child.process.send_signal(number)


def _how(returncode: int) -> str:
    return f"by signal {signal.Signals(-returncode).name}" if returncode < 0 else f"with status {returncode}"


def _die_with(parent: int) -> Callable[[], None]:
    """What a child does between fork and exec so that it never outlives its parent, not even one that is killed."""
    prctl = ctypes.CDLL(None).prctl if sys.platform == "linux" else None

    def bind_life() -> None:
        if prctl is not None:
            prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
            if os.getppid() != parent:
                os.kill(os.getpid(), signal.SIGKILL)

    return bind_life
