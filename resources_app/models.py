"""Resources, the log of their changes, the control stream, and durable subscriptions."""

from django.db import models


class Resource(models.Model):
    """The present state of a resource. A deleted one keeps its row: its versions go on if it is created again.

    `sealed_by` is the id of the data key whose envelope the body is, "" for one in plain text.
    """

    uri = models.CharField(max_length=2048)
    name = models.CharField(max_length=255, blank=True)
    title = models.CharField(max_length=255, blank=True)
    description = models.TextField(blank=True)
    mime_type = models.CharField(max_length=255)
    on_conflict = models.CharField(max_length=16)
    kind = models.CharField(max_length=8)
    body = models.BinaryField()
    sealed_by = models.CharField(max_length=32, blank=True, default="", db_default="")
    size = models.BigIntegerField()
    version = models.BigIntegerField()
    deleted = models.BooleanField(default=False)
    created_at = models.DateTimeField()
    updated_at = models.DateTimeField()
    offset = models.BigIntegerField()

    class Meta:
        constraints = [models.UniqueConstraint(fields=["uri"], name="resource_by_uri")]
        permissions = [
            ("read", "May read resources"),
            ("write", "May create and change resources"),
            ("delete", "May delete resources"),
            ("subscribe", "May follow resources"),
        ]

    def __str__(self) -> str:
        return self.uri


class LogHead(models.Model):
    """Where a stream of the log ends (`head`) and begins (`earliest`). Its row lock orders the commits of all nodes.

    `prefixes` is JSON: where what belongs to a retention prefix begins instead. Nobody can follow from below
    `skipped_to`, though what is kept there is history.
    """

    stream = models.CharField(max_length=16, primary_key=True)
    head = models.BigIntegerField()
    earliest = models.BigIntegerField()
    prefixes = models.TextField(default="{}")
    skipped_to = models.BigIntegerField(default=0, db_default=0)

    def __str__(self) -> str:
        return self.stream


class Event(models.Model):
    """One change of one resource: the whole state after it, under its offset in the stream `changes`.

    `sealed_by` is as that of a resource.
    """

    offset = models.BigIntegerField(primary_key=True)
    uri = models.CharField(max_length=2048)
    type = models.CharField(max_length=8)
    version = models.BigIntegerField()
    time = models.DateTimeField()
    meta = models.TextField()
    kind = models.CharField(max_length=8)
    body = models.BinaryField()
    sealed_by = models.CharField(max_length=32, blank=True, default="", db_default="")

    class Meta:
        indexes = [models.Index(fields=["uri", "offset"], name="event_by_uri")]

    def __str__(self) -> str:
        return f"{self.offset} {self.type} {self.uri}"


class ControlEvent(models.Model):
    """Something that every node has to know at once: a session suspended, a token family revoked, a user changed."""

    offset = models.BigIntegerField(primary_key=True)
    kind = models.CharField(max_length=32)
    subject = models.CharField(max_length=255)
    data = models.TextField()
    time = models.DateTimeField()

    def __str__(self) -> str:
        return f"{self.offset} {self.kind} {self.subject}"


class Subscription(models.Model):
    """A durable subscription: a pattern, what is wanted of it, and how far its owner has acknowledged."""

    id = models.CharField(max_length=36, primary_key=True)
    pattern = models.CharField(max_length=2048)
    user_id = models.CharField(max_length=64, db_index=True)
    session_id = models.CharField(max_length=36, db_index=True, blank=True)
    client_id = models.CharField(max_length=255, blank=True)
    label = models.CharField(max_length=255, blank=True)
    events = models.CharField(max_length=64)
    options = models.TextField()
    offset = models.BigIntegerField()
    created_at = models.DateTimeField()

    def __str__(self) -> str:
        return self.pattern
