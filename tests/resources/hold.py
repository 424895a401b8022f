"""A writer that is kept in the middle of its work for as long as a test wants."""

import threading

from audit_app.writer import Writer
from tests.resources.commands import Faulty


class Hold:
    """Keeps a writer busy inside a commit until it is let go."""

    def __init__(self, writer: Writer) -> None:
        self._entered, self._released = threading.Event(), threading.Event()
        self._writer = writer
        writer.listen(self._wait)

    def _wait(self, events: object) -> None:
        self._entered.set()
        self._released.wait(20)

    def __enter__(self) -> None:
        self._thread = threading.Thread(target=self._writer.run, args=(Faulty(where="", errors=[]),))
        self._thread.start()
        assert self._entered.wait(10)

    def __exit__(self, *error: object) -> None:
        self._writer.unlisten(self._wait)
        self._released.set()
        self._thread.join(10)
