"""Documents of which one kind is watched by django-auditlog, and entries that a task writes."""

from auditlog.registry import auditlog
from django.db import models


class Document(models.Model):
    """Nobody notes its changes."""

    uri = models.CharField(max_length=2048, unique=True)
    content = models.TextField()
    version = models.PositiveIntegerField(default=1)

    def __str__(self) -> str:
        return self.uri


class WatchedDocument(models.Model):
    """django-auditlog notes its changes."""

    uri = models.CharField(max_length=2048, unique=True)
    content = models.TextField()
    version = models.PositiveIntegerField(default=1)

    def __str__(self) -> str:
        return self.uri


class Entry(models.Model):
    """An entry of about what ours holds."""

    id = models.UUIDField(primary_key=True)
    timestamp = models.DateTimeField(db_index=True)
    user = models.CharField(max_length=255, db_index=True)
    action = models.CharField(max_length=255, db_index=True)
    resource = models.CharField(max_length=2048, db_index=True)
    details = models.JSONField()
    source_ip = models.CharField(max_length=64)
    user_agent = models.CharField(max_length=2048)

    def __str__(self) -> str:
        return str(self.id)


auditlog.register(WatchedDocument)
