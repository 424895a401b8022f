"""Beat sleeps until it is time for something, to the end."""

from celery import Celery
from celery.schedules import schedstate, schedule

from erlmcp_site.serving.beat import Scheduler

REST = 0.004
"""Seconds that are left: less than Celery's own scheduler would be early."""


class Soon(schedule):
    """Due in a moment, whenever it is asked."""

    def is_due(self, last_run_at: object) -> schedstate:
        return schedstate(False, REST)


def test_beat_does_not_spin_in_the_last_moments() -> None:
    app = Celery(broker="memory://", set_as_current=False)
    app.conf.beat_schedule = {"soon": {"task": "soon", "schedule": Soon(1)}}
    assert Scheduler(app, lazy=False).tick() == REST
