"""Keys as they are kept: data keys wrapped, key-encryption keys by their names alone. Rows are the writer's."""

from django.db import models
from django.db.models import Q


class KeyEncryptionKey(models.Model):
    """A key-encryption key of a provider, which holds the key itself. The one with the highest number is current."""

    provider = models.CharField(max_length=16)
    number = models.PositiveIntegerField()
    key_id = models.CharField(max_length=255)
    created_at = models.DateTimeField()
    destroyed_at = models.DateTimeField(null=True)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["provider", "number"], name="key_encryption_key_by_number")]

    def __str__(self) -> str:
        return f"{self.provider}:{self.key_id}"


class DataKey(models.Model):
    """The data key of one subject (a URI), wrapped by a key-encryption key. A destroyed one has nothing to unwrap."""

    id = models.CharField(max_length=32, primary_key=True)
    subject = models.CharField(max_length=2048)
    wrapped = models.BinaryField()
    provider = models.CharField(max_length=16)
    key_id = models.CharField(max_length=255)
    created_at = models.DateTimeField()
    destroyed_at = models.DateTimeField(null=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["subject"], condition=Q(destroyed_at=None), name="data_key_of_living_subject"
            )
        ]
        indexes = [models.Index(fields=["provider", "key_id"], name="data_key_by_wrapping")]

    def __str__(self) -> str:
        return self.id


class Reencryption(models.Model):
    """One run of re-encryption: which phase it is in, and behind what it goes on. The last one may not be finished.

    `cursor` is the id of a data key, a URI, an offset or the id of a session, by phase; `upto` is the last event that
    it looks at. The counts are of what was changed. `failed` counts what could not be, and `failures` is JSON: the
    first of them, with the reasons. `waits` counts the times that it has waited for a provider.
    """

    number = models.BigIntegerField(primary_key=True)
    phase = models.CharField(max_length=16)
    cursor = models.CharField(max_length=2048, blank=True)
    upto = models.BigIntegerField()
    data_keys = models.BigIntegerField(default=0)
    resources = models.BigIntegerField(default=0)
    events = models.BigIntegerField(default=0)
    sessions = models.BigIntegerField(default=0, db_default=0)
    failed = models.BigIntegerField(default=0, db_default=0)
    failures = models.TextField(default="[]", db_default="[]")
    waits = models.IntegerField(default=0, db_default=0)
    started_at = models.DateTimeField()
    finished_at = models.DateTimeField(null=True)

    def __str__(self) -> str:
        return f"re-encryption {self.number}"
