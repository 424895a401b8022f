"""Background work: the Celery application; what beat starts, and when, is a setting."""

import os
import warnings

from celery import Celery
from django.conf import settings

from erlmcp_site.serving import file_broker

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "erlmcp_site.settings")

# Celery's own advice for workers that unpickle; ours take JSON only, also where everything runs as root
warnings.filterwarnings("ignore", message="You're running the worker with superuser privileges")

app = Celery("erlmcp")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks()

settings.CELERY_FOLDER.mkdir(parents=True, exist_ok=True)
if settings.CELERY_BROKER_URL == file_broker.URL:
    file_broker.prepare_broker(settings.CELERY_FOLDER)
