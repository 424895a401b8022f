"""Background work: the Celery application; what beat starts, and when, is a setting."""

import os

from celery import Celery

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "erlmcp_site.settings")

app = Celery("erlmcp")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks()
