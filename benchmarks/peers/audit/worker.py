"""A Celery application whose one task writes one entry: `celery --app benchmarks.peers.audit.worker worker`."""

import os
from datetime import datetime
from typing import Any

from celery import Celery
from django.apps import apps

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "benchmarks.peers.audit.settings")

app = Celery("audit")
app.config_from_object("django.conf:settings", namespace="CELERY")


@app.task
def write_entry(entry: dict[str, Any]) -> None:
    moment = datetime.fromisoformat(entry["timestamp"])
    apps.get_model("audit", "Entry").objects.create(**entry | {"timestamp": moment})
