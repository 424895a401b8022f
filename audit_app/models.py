"""Where entries wait (main database) and where they stay (audit database).

Which database that is, the router says (DATABASE_ROUTERS). None of these rows is ever changed through Django.
"""

from collections.abc import Iterable
from typing import Any, NoReturn

from django.db import models

from audit_app.trail import Queue


class OutboxEntry(models.Model):
    """An entry that is committed with the work it tells of, and waits to be moved to the audit database.

    The number of a moved entry is never given again, so whoever deletes by number deletes what was moved.
    """

    queue = models.PositiveSmallIntegerField(choices=[(queue.value, queue.name.lower()) for queue in Queue])
    entry = models.TextField()

    class Meta:
        verbose_name = "outbox entry"
        verbose_name_plural = "outbox entries"

    def __str__(self) -> str:
        return f"outbox entry {self.pk}"


class IdempotencyKey(models.Model):
    """A request of one caller that was done under a key, and what was answered: "<caller>/<key>" is the id."""

    id = models.CharField(max_length=320, primary_key=True)
    fingerprint = models.CharField(max_length=64)
    answer = models.BinaryField()
    at = models.DateTimeField(db_index=True)

    def __str__(self) -> str:
        return self.id


class TrailIsReadOnly(RuntimeError):
    """Somebody tried to write the trail through Django's models: a defect of ours. Only the mover adds to it."""


class Trail(models.QuerySet["AuditEntry"]):
    """Entries can be read, and nothing else."""

    def create(self, **kwargs: Any) -> NoReturn:
        raise TrailIsReadOnly("create")

    def update(self, **kwargs: Any) -> NoReturn:
        raise TrailIsReadOnly("update")

    def delete(self) -> NoReturn:
        raise TrailIsReadOnly("delete")

    def bulk_create(self, objs: Any, *args: Any, **kwargs: Any) -> NoReturn:
        raise TrailIsReadOnly("bulk_create")

    def bulk_update(self, objs: Any, fields: Iterable[str], batch_size: int | None = None) -> NoReturn:
        raise TrailIsReadOnly("bulk_update")


class AuditEntry(models.Model):
    """One entry of the trail (contract §8).

    `sequence` numbers the entries of the audit database from 1, without a gap. Users, resources and sessions are kept
    by name and number, not by foreign key: the trail outlives what it names. `details` is JSON text, kept byte for
    byte. A text that a client sent is kept up to its field's length in bytes.
    """

    id = models.CharField(max_length=36, primary_key=True)
    sequence = models.BigIntegerField(unique=True)
    timestamp = models.DateTimeField()
    queue = models.PositiveSmallIntegerField(choices=[(queue.value, queue.name.lower()) for queue in Queue])
    user_id = models.CharField(max_length=64, blank=True)
    user = models.CharField(max_length=255, blank=True, db_column="user_name")
    action = models.CharField(max_length=255)
    outcome = models.CharField(max_length=8, choices=[(name, name) for name in ("success", "refused", "error")])
    code = models.CharField(max_length=64, blank=True)
    resource_type = models.CharField(max_length=64, blank=True)
    resource_id = models.CharField(max_length=2048, blank=True)
    details = models.TextField()
    source_ip = models.CharField(max_length=64, blank=True, verbose_name="source IP")
    user_agent = models.CharField(max_length=2048, blank=True)
    session_id = models.CharField(max_length=255, blank=True)
    request_id = models.CharField(max_length=255, blank=True)
    transport = models.CharField(max_length=16)
    prev_hash = models.CharField(max_length=64, null=True)
    hash = models.CharField(max_length=64, null=True)

    objects = models.Manager.from_queryset(Trail)()

    class Meta:
        verbose_name = "audit entry"
        verbose_name_plural = "audit entries"
        default_permissions = ("view",)
        # Each costs the mover, so there are few: the last columns of two answer "of this user, and of that session,
        # action or outcome" or "of this resource, and of that user" from the index alone. Of queues and outcomes only
        # the rare are indexed: who walks the trail by time soon finds the others.
        indexes = [
            models.Index(fields=["timestamp", "sequence"], name="audit_by_time"),
            models.Index(
                fields=["user", "timestamp", "sequence", "session_id", "action", "outcome"], name="audit_by_user"
            ),
            models.Index(fields=["resource_id", "timestamp", "sequence", "user"], name="audit_by_resource"),
            models.Index(fields=["action", "timestamp", "sequence"], name="audit_by_action"),
            models.Index(fields=["request_id"], name="audit_by_request"),
            models.Index(fields=["timestamp", "sequence"], name="audit_refused", condition=models.Q(outcome="refused")),
            models.Index(fields=["timestamp", "sequence"], name="audit_error", condition=models.Q(outcome="error")),
            models.Index(fields=["timestamp", "sequence"], name="audit_security", condition=models.Q(queue=1)),
            models.Index(fields=["timestamp", "sequence"], name="audit_system", condition=models.Q(queue=3)),
        ]

    def __str__(self) -> str:
        return f"{self.sequence} {self.action}"

    def save(self, *args: Any, **kwargs: Any) -> NoReturn:
        raise TrailIsReadOnly("save")

    def delete(self, *args: Any, **kwargs: Any) -> NoReturn:
        raise TrailIsReadOnly("delete")


class TrailHead(models.Model):
    """Number and hash of the last entry. Locking the row orders the movers of all workers."""

    stream = models.CharField(max_length=16, primary_key=True)
    head = models.BigIntegerField()
    hash = models.CharField(max_length=64, default="0" * 64)

    def __str__(self) -> str:
        return self.stream


class Witness(models.Model):
    """How far the trail has got, kept in the main database: so a tail cut off the trail is noticed.

    Written with the deletion of what was moved, so it may be behind the trail, and is never ahead of it.
    """

    stream = models.CharField(max_length=16, primary_key=True)
    sequence = models.BigIntegerField()
    hash = models.CharField(max_length=64)

    class Meta:
        verbose_name_plural = "witnesses"

    def __str__(self) -> str:
        return f"{self.stream} up to {self.sequence}"


class AppendOnly(models.QuerySet[Any]):
    """Rows can be added and read."""

    def update(self, **kwargs: Any) -> NoReturn:
        raise TrailIsReadOnly("update")

    def delete(self) -> NoReturn:
        raise TrailIsReadOnly("delete")


class CheckpointKey(models.Model):
    """A public key that has signed checkpoints, in PEM; its id is made of the key itself. None is ever forgotten."""

    id = models.CharField(max_length=32, primary_key=True)
    public_key = models.TextField()

    objects = models.Manager.from_queryset(AppendOnly)()

    def __str__(self) -> str:
        return self.id


class Checkpoint(models.Model):
    """A signed statement on the entries from `first` to `last`; each names the one before it.

    `payload` is the text that was signed, byte for byte (`audit_app/chain/statements.py`), `signature` is in hex.
    """

    number = models.BigIntegerField(primary_key=True)
    first = models.BigIntegerField()
    last = models.BigIntegerField(unique=True)
    payload = models.TextField()
    signature = models.CharField(max_length=128)

    objects = models.Manager.from_queryset(AppendOnly)()

    class Meta:
        default_permissions = ("view",)

    def __str__(self) -> str:
        return f"checkpoint {self.number}"


class Sink(models.Model):
    """How far a sink has got, and how it fares (audit database). Where it delivers to, the setting AUDIT_SINKS says.

    `cursor` is the sequence number of the last entry that its receiver has taken, or that became a dead letter. Who
    holds the lease delivers, and `holder` fences off everybody who held it before. `replays` counts how often the
    cursor was set by hand.
    """

    name = models.CharField(max_length=64, primary_key=True)
    cursor = models.BigIntegerField(default=0)
    replays = models.PositiveIntegerField(default=0)
    paused = models.BooleanField(default=False)
    holder = models.CharField(max_length=36, blank=True)
    leased_at = models.DateTimeField(null=True)
    delivered = models.BigIntegerField(default=0)
    delivered_at = models.DateTimeField(null=True)
    failures = models.BigIntegerField(default=0)
    failures_in_a_row = models.PositiveIntegerField(default=0)
    failed_at = models.DateTimeField(null=True)
    rest_seconds = models.FloatField(default=0.0)
    last_error = models.CharField(max_length=1000, blank=True)

    class Meta:
        default_permissions = ("view",)

    def __str__(self) -> str:
        return self.name


class DeadLetter(models.Model):
    """An entry that the receiver of a sink would not take. It is in the trail; here stands only which one, and why."""

    sink = models.CharField(max_length=64)
    sequence = models.BigIntegerField()
    entry = models.CharField(max_length=36)
    reason = models.CharField(max_length=1000)
    at = models.DateTimeField()

    class Meta:
        default_permissions = ("view",)
        constraints = [models.UniqueConstraint(fields=["sink", "sequence"], name="dead_letter_once")]

    def __str__(self) -> str:
        return f"{self.sink} {self.sequence}"
