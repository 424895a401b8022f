"""Background work: the Celery application; what beat starts, and when, is a setting."""

import os
import warnings
from typing import Any

from celery import Task, signals
from django.conf import settings
from structlog.contextvars import bound_contextvars

from audit_app.breaker import Breaker, PartAway
from audit_app.failures import passes
from audit_app.recovery import UPKEEP
from erlmcp_site.serving import file_broker
from erlmcp_site.task_spans import TracingCelery, task_span
from telemetry_app import life as telemetry
from telemetry_app.tracing.tracer import tracer

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "erlmcp_site.settings")

# Celery's own advice for workers that unpickle; ours take JSON only, also where everything runs as root
warnings.filterwarnings("ignore", message="You're running the worker with superuser privileges")

breaker = Breaker(UPKEEP, counts=passes)


@signals.setup_logging.connect
def leave_logging(**_: Any) -> None:
    """Celery sets up no logging where anybody answers this signal: ours is set up."""


class Upkeep(Task):
    """A task that does nothing while a database does not take its work: a later tick does it.

    What it logs bears its name and id.
    """

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        with bound_contextvars(task=self.name, task_id=self.request.id):
            try:
                with task_span(self.name, self.request.headers or {}), breaker.guard():
                    return super().__call__(*args, **kwargs)
            except PartAway:
                return None


app = TracingCelery("erlmcp", task_cls=Upkeep)
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks()

settings.CELERY_FOLDER.mkdir(parents=True, exist_ok=True)
if settings.CELERY_BROKER_URL == file_broker.URL:
    file_broker.prepare_broker(settings.CELERY_FOLDER)


@signals.worker_ready.connect
@signals.worker_process_init.connect
def report_worker(**told: Any) -> None:
    """The worker, and each process that it has forked off for tasks, are of this node."""
    telemetry.begin("worker")


@signals.beat_init.connect
def report_beat(**told: Any) -> None:
    """Beat is a process of this node, too, and the traces of its ticks begin in it."""
    tracer.start()
    telemetry.begin("beat")


@signals.worker_shutdown.connect
@signals.worker_process_shutdown.connect
def stop_reporting(**told: Any) -> None:
    """What a process of tasks has counted is told before it ends."""
    tracer.stop()
    telemetry.end()
