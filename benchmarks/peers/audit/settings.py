"""A project with django-auditlog and Celery as their documentation sets them up.

PEER_DATABASE names the database, PEER_REDIS the broker.
"""

import os

import environ

SECRET_KEY = "only for figures, on the loopback interface"
INSTALLED_APPS = ["django.contrib.contenttypes", "django.contrib.auth", "auditlog", "benchmarks.peers.audit"]
DATABASES = {"default": environ.Env.db_url_config(os.environ["PEER_DATABASE"]) | {"CONN_MAX_AGE": None}}
USE_TZ = True
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
CELERY_BROKER_URL = os.environ["PEER_REDIS"]
CELERY_TASK_IGNORE_RESULT = True
