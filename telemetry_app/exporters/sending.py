"""Which process of a node sends its metrics, and when: one at a time, and always one while any of them lives."""

import fcntl
import logging
import os
import socket
import threading
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

from django.conf import settings

from telemetry_app.collectors import collector_of
from telemetry_app.exporters.exporter import Exporter
from telemetry_app.exporters.graphite import GraphiteExporter
from telemetry_app.exporters.otlp import OtlpExporter
from telemetry_app.exporters.shipper import Shipper
from telemetry_app.otlp import METRICS, sender_of
from telemetry_app.reporter import reporter

log = logging.getLogger(__name__)

LOOK_SECONDS = 1.0
"""How often a process looks whether nobody sends any more."""

JOIN_SECONDS = 2.0

WORKER = "worker"
POLITE_LOOKS = 3
"""How often in a row others look before they send, so that the worker does it, which has no requests to answer."""


class Sending:
    """Sends what the node has, every EXPORT_SECONDS, if no other of its processes does.

    A lock says whose turn it is; the system lets go of it when a process ends, however that is. A process that is
    forked off sends nothing before it is started.
    """

    def __init__(self) -> None:
        self._before: Callable[[], None] | None = None
        self._thread: threading.Thread | None = None
        self._stopped = threading.Event()
        self._turn: int | None = None
        self._shippers: list[Shipper] = []
        os.register_at_fork(after_in_child=self._begin_anew)

    def before_each(self, prepare: Callable[[], None]) -> None:
        """Call in a thread before a state is sent, to bring up to date what nobody counts; it may fail."""
        self._before = prepare

    def start(self, process: str) -> None:
        """Take turns in sending, where there is anybody to send to; nothing happens when that has begun."""
        if self._thread is not None or not _is_to_send():
            return
        self._stopped = threading.Event()
        patience = 1 if process == WORKER else POLITE_LOOKS
        self._thread = threading.Thread(target=self._run, args=(self._stopped, patience), name="sending", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Leave the turn to another process."""
        thread, self._thread = self._thread, None
        if thread is not None:
            self._stopped.set()
            thread.join(JOIN_SECONDS)

    def _run(self, stopped: threading.Event, patience: int) -> None:
        looks = 0
        while not stopped.wait(self._until_next()):
            try:
                if self._turn is None:
                    looks += 1
                    if not self._take_turn(only_look=looks < patience):
                        looks = 0
                else:
                    self._send()
            except Exception:
                log.exception("metrics could not be sent; trying again")
        for shipper in self._shippers:
            shipper.stop()
        self._shippers.clear()
        if self._turn is not None:
            os.close(self._turn)
            self._turn = None

    def _until_next(self) -> float:
        """Seconds until there is something to do. States are of round moments, as receivers keep them."""
        period: float = settings.EXPORT_SECONDS
        return LOOK_SECONDS if self._turn is None else period - time.time() % period

    def _take_turn(self, *, only_look: bool) -> bool:
        """Whether nobody else has the turn; this process has it then, unless it only looks."""
        turn = os.open(Path(settings.VAR_DIR) / "sending.lock", os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(turn, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(turn)
            return False
        if only_look:
            os.close(turn)
            return True
        self._shippers = [Shipper(exporter) for exporter in _exporters()]
        for shipper in self._shippers:
            shipper.start()
        self._turn = turn
        return True

    def _send(self) -> None:
        if self._before is not None:
            try:
                self._before()
            except Exception as error:
                log.debug("what the databases hold could not be counted: %s", error)
        state = reporter.look_now().state
        for shipper in self._shippers:
            shipper.put(state)

    def _begin_anew(self) -> None:
        """In a process that was just forked off: the turn is its parent's."""
        if self._turn is not None:
            os.close(self._turn)
        self._turn = self._thread = None
        self._shippers = []


def _is_to_send() -> bool:
    return settings.GRAPHITE is not None or collector_of("METRICS") is not None


def _exporters() -> list[Exporter]:
    exporters: list[Exporter] = []
    if settings.GRAPHITE:
        exporters.append(GraphiteExporter(settings.GRAPHITE, settings.NODE_NAME))
    collector = collector_of("METRICS")
    if collector is not None:
        about = {
            **settings.OTEL_RESOURCE_ATTRIBUTES,
            "service.name": settings.OTEL_SERVICE_NAME,
            "service.instance.id": settings.NODE_NAME,
            "host.name": socket.gethostname(),
        }
        exporters.append(OtlpExporter(partial(sender_of, METRICS, collector), about))
    return exporters


sending = Sending()
