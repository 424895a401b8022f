"""`python -m erlmcp_site.serving.upkeep worker|beat`: Celery's worker and beat, alone or under `serve`.

They are what `celery -A erlmcp_site worker` and `… beat` are, without Celery's command line and, in beat, without our
tasks, which it starts by their names: that halves what each start costs.
"""

import logging
import os
import sys

from celery.apps import beat
from django.conf import settings
from django.utils.log import configure_logging

from erlmcp_site.celery import app
from erlmcp_site.logs.threads import begin_threads
from erlmcp_site.logs.uncaught import log_uncaught


class Beat(beat.Beat):
    """Imports no task, and reaches no database."""

    def init_loader(self) -> None:
        configure_logging(settings.LOGGING_CONFIG, settings.LOGGING)
        log_uncaught()


def run_worker() -> int:
    """Run tasks until SIGTERM; returns the exit status."""
    # `serve` and `prepare` have checked what there is to check
    os.environ["CELERY_SKIP_CHECKS"] = "1"
    # a sink whose receiver hangs holds one thread, which the others must not miss
    threads = 4 + len(settings.AUDIT_SINKS)
    worker = app.Worker(
        pool_cls="threads",
        concurrency=threads,
        loglevel=logging.WARNING,
        quiet=True,
        without_gossip=True,
        without_mingle=True,
        # nobody watches for it, and a timer that beats makes the end of the worker wait for a second
        without_heartbeat=True,
    )
    begin_threads()
    worker.start()
    return int(worker.exitcode or 0)


def run_beat() -> int:
    """Start tasks, tick by tick, until SIGTERM."""
    Beat(app=app, loglevel=logging.WARNING, quiet=True).run()
    return 0


if __name__ == "__main__":
    sys.exit({"worker": run_worker, "beat": run_beat}[sys.argv[1]]())
