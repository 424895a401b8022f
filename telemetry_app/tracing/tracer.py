"""What is kept of what this process does, and where it goes."""

import atexit
import os
import socket
import uuid
from functools import cache, partial

from django.conf import settings

from telemetry_app.collectors import collector_of
from telemetry_app.otlp import TRACES, sender_of
from telemetry_app.tracing.context import SAMPLED, TraceContext
from telemetry_app.tracing.exporter import Exporter
from telemetry_app.tracing.sampling import sampler
from telemetry_app.tracing.spans import Attributes, Finished

STOP_SECONDS = 3.0
"""What the end of a process waits for a collector."""


class Tracer:
    """Takes what has ended, if it is to be kept. It is on while there is a collector; otherwise it takes nothing."""

    def __init__(self) -> None:
        self.is_on = False
        self._slow = 0.0
        self._exporter: Exporter | None = None
        os.register_at_fork(after_in_child=self._begin_anew)
        atexit.register(self.stop)

    def start(self) -> None:
        """Go by the settings; no thread begins before there is something to send."""
        self.stop()
        sampler.start()
        collector = collector_of("TRACES")
        self.is_on = collector is not None
        self._slow = settings.TRACES_SLOW_SECONDS
        self._exporter = None
        if collector is not None:
            connect = partial(sender_of, TRACES, collector)
            room, seconds = settings.OTEL_BSP_MAX_QUEUE_SIZE, settings.OTEL_BSP_SCHEDULE_DELAY / 1000
            self._exporter = Exporter(connect, about, room=room, seconds=seconds)

    def keeps(self, trace: TraceContext, seconds: float, *, has_failed: bool) -> bool:
        """Whether to hand over what took so long: it was to be kept from the beginning, or it failed or was slow."""
        return self.is_on and (bool(trace.flags & SAMPLED) or has_failed or seconds >= self._slow)

    def hand(self, finished: Finished) -> None:
        """Have the spans of something sent; nothing happens while this is not on."""
        if self._exporter is not None:
            self._exporter.hand(finished)

    def stop(self) -> None:
        """Send what waits. Something that is handed over later is sent as well."""
        if self._exporter is not None:
            self._exporter.stop(STOP_SECONDS)

    def _begin_anew(self) -> None:
        about.cache_clear()
        if self._exporter is not None:
            self._exporter.begin_anew()


@cache
def about() -> Attributes:
    """The attributes of this process, as a resource of OpenTelemetry."""
    return {
        **settings.OTEL_RESOURCE_ATTRIBUTES,
        "service.name": settings.OTEL_SERVICE_NAME,
        "service.instance.id": str(uuid.uuid4()),
        "host.name": socket.gethostname(),
        "process.pid": os.getpid(),
    }


tracer = Tracer()
