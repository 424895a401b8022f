"""Entries of background work that failed: the first failure of a task at once, repeats together, once a minute."""

import threading
import time
from dataclasses import dataclass

from audit_app.commands import Record
from audit_app.system import system_entry
from audit_app.writer import writer

TOGETHER_SECONDS = 60.0
MAX_TASKS = 1000


@dataclass(slots=True)
class Failing:
    """A task that failed: when its last entry was left, and how many failures that entry does not tell of."""

    told_at: float
    untold: int = 0


class TaskFailures:
    """Leaves entries of failed tasks, by name, from any thread.

    A task that fails every second leaves one entry a minute, which counts. Repeats that are followed by none for a
    minute are told with the next failure, so that the trail has each first one and misses no lasting state.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._failing: dict[str, Failing] = {}

    def failed(self, task: str, error: BaseException | None) -> None:
        """A task has raised an error, whose text may hold anything and is not kept."""
        now = time.monotonic()
        with self._lock:
            known = self._failing.get(task)
            if known is not None and now - known.told_at < TOGETHER_SECONDS:
                known.untold += 1
                return
            count = 1 + (known.untold if known is not None else 0)
            if known is None and len(self._failing) >= MAX_TASKS:
                self._failing.clear()
            self._failing[task] = Failing(now)
        details = {"error": type(error).__name__, "failures": count}
        writer.note(Record(entry=system_entry("task/failed", "task", task), details=details))


task_failures = TaskFailures()
