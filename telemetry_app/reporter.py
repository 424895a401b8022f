"""One thread a process that looks every second what there is to tell, and shows it to the others of the node."""

import asyncio
import logging
import os
import threading
from collections.abc import Callable
from pathlib import Path

from django.conf import settings

from telemetry_app.metrics import REPORT_FAILURES
from telemetry_app.publishing import Published
from telemetry_app.state import Key, Note, State, is_counted, take_state
from telemetry_app.system import system
from telemetry_app.windows import History, Window

log = logging.getLogger(__name__)

REPORT_SECONDS = 1.0


class Reporter:
    """Tells what this process counts, and what the node does, from any thread.

    Started, the process is one of its node, and the others know at most a second later what it has counted. A process
    that is forked off begins with nothing, and as one that has not started.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._refreshers: list[Callable[[], None]] = []
        self._notes: list[Callable[[], list[Note]]] = []
        self._history = History()
        self._published: Published | None = None
        self._thread: threading.Thread | None = None
        self._stopped = threading.Event()
        self._begins_again = False
        self._inherited: State | None = None
        self._failed = False
        self._shown: dict[Key, float] = {}
        # nobody is in the middle of reading metrics while a process is forked, which would inherit their locks
        os.register_at_fork(
            before=self._lock.acquire, after_in_parent=self._lock.release, after_in_child=self._begin_anew
        )

    def on_take(self, refresh: Callable[[], None]) -> None:
        """Call before metrics are read, to bring gauges up to date; it must not wait for anything."""
        self._refreshers.append(refresh)

    def on_note(self, tell: Callable[[], list[Note]]) -> None:
        """Have the others of the node know what this says, once a second; a thread calls it, and it must not wait."""
        self._notes.append(tell)

    def start(self, process: str) -> None:
        """Be a process of the node of VAR_DIR, of a kind: web, grpc, worker or beat; nothing happens when it is one."""
        with self._lock:
            if self._thread is not None:
                return
            if self._begins_again:
                # what it has counted so far was told by its parent, or by itself before it stopped
                self._begins_again, self._inherited = False, take_state()
            system.process = process
            self._stopped = threading.Event()
            self._thread = threading.Thread(target=self._report, args=(self._stopped,), name="reporter", daemon=True)
            self._thread.start()

    def stop(self) -> None:
        """Have the others see the last of it, and be none of the node any more."""
        with self._lock:
            thread, self._thread = self._thread, None
        if thread is None:
            return
        self._stopped.set()
        thread.join()

    async def look(self) -> Window:
        """The same as `look_now`, beside the event loop."""
        return await asyncio.to_thread(self.look_now)

    def look_now(self) -> Window:
        """What the node has at this moment; what this process has where it is alone, or where the files cannot be read.

        Whatever is told is kept, should this process be killed a moment later. So of what this process has counted,
        nothing is told that could not be written: the others would not know of it, and the sums that they tell be less.
        """
        with self._lock:
            state = self._take()
            if self._thread is None:
                return Window(state)
            try:
                published = self._place()
                try:
                    self._show(state)
                except OSError as error:
                    self._fail(error)
                    state.samples = self._known_of(state)
                return Window(published.read(state))
            except OSError as error:
                self._fail(error)
                return Window(state)

    def _show(self, state: State) -> None:
        self._place().write(state)
        self._shown = {key: value for key, value in state.samples.items() if is_counted(key)}

    def _known_of(self, state: State) -> dict[Key, float]:
        """What this process has at the moment, with what it had counted when the others saw it last."""
        now = {key: value for key, value in state.samples.items() if not is_counted(key)}
        return now | self._shown

    def _report(self, stopped: threading.Event) -> None:
        while True:
            try:
                with self._lock:
                    self._show(self._take())
                self._failed = False
            except Exception as error:
                self._fail(error)
            if stopped.wait(REPORT_SECONDS):
                break
        with self._lock:
            published, self._published = self._published, None
            if published is None:
                return
            self._shown = {}
            try:
                published.write(self._take())
            except OSError as error:
                self._fail(error)
            published.let_go()
            self._begins_again = True

    def _place(self) -> Published:
        if self._published is None:
            self._published = Published(Path(settings.VAR_DIR) / "metrics")
        return self._published

    def _fail(self, error: Exception) -> None:
        REPORT_FAILURES.inc()
        if not self._failed:
            log.warning("this process's metrics are not seen by the others of the node: %s", error)
        self._failed = True

    def _take(self) -> State:
        for refresh in self._refreshers:
            refresh()
        state = take_state()
        state.notes = [note for tell in self._notes for note in tell()]
        if self._inherited is not None:
            before = self._inherited.samples
            for key in state.samples:
                if is_counted(key):
                    state.samples[key] -= before.get(key, 0.0)
        self._history.add(state)
        return state

    def _begin_anew(self) -> None:
        """In a process that was just forked off: what its parent has counted is not its own."""
        if self._published is not None:
            self._published.let_go()
        self._published = self._thread = None
        self._history = History()
        self._shown = {}
        self._begins_again = True
        self._lock.release()


reporter = Reporter()
