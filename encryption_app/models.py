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
