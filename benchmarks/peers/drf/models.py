"""What the peer keeps: about what a resource of ours holds."""

from django.db import models


class Resource(models.Model):
    uri = models.CharField(max_length=2048, unique=True)
    name = models.CharField(max_length=200, blank=True)
    mime_type = models.CharField(max_length=100, default="application/json")
    content = models.JSONField()
    version = models.PositiveIntegerField(default=1)
    updated_at = models.DateTimeField(auto_now=True)

    def __str__(self) -> str:
        return self.uri
