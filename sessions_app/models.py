"""Signing keys, token families, API keys, second factors, sessions, access rules. The writer alone writes the rows."""

from django.conf import settings
from django.db import models


class SigningKey(models.Model):
    """A key that signs tokens. The private half is sealed under SECRET_KEY (`sealing.py`), the public one is a JWK.

    The one with the least `number` that is not retired yet signs; a retired one still verifies what it has signed,
    until that has expired. `number` grows by one per key, which is what keeps two nodes from making the same one.
    """

    kid = models.CharField(max_length=64, primary_key=True)
    number = models.PositiveIntegerField(unique=True)
    algorithm = models.CharField(max_length=16)
    sealed = models.BinaryField()
    jwk = models.TextField()
    created_at = models.DateTimeField()
    retired_at = models.DateTimeField(null=True)

    def __str__(self) -> str:
        return self.kid


class TokenFamily(models.Model):
    """All tokens that came out of one login, by refreshing.

    `current` is the id of the one refresh token that may be used; `spent` keeps, as JSON, the ids of those that were
    used within the grace and when (Unix time). `session_id` is the session that its requests use by default.
    """

    id = models.CharField(max_length=36, primary_key=True)
    user = models.ForeignKey(settings.AUTH_USER_MODEL, models.CASCADE, db_constraint=False, related_name="+")
    current = models.CharField(max_length=36)
    spent = models.TextField(default="{}")
    session_id = models.CharField(max_length=36, blank=True)
    created_at = models.DateTimeField()
    rotated_at = models.DateTimeField(null=True)
    revoked_at = models.DateTimeField(null=True)
    expires_at = models.DateTimeField(db_index=True)

    class Meta:
        verbose_name_plural = "token families"

    def __str__(self) -> str:
        return self.id


class ApiKey(models.Model):
    """A key with which a machine calls for a user. The token family with its id says whether it was revoked.

    `digest` is the SHA-256 of the whole key, in hexadecimal. `scope` has names of permissions with blanks between them,
    "" for all that the user may.
    """

    id = models.CharField(max_length=36, primary_key=True)
    user = models.ForeignKey(settings.AUTH_USER_MODEL, models.CASCADE, db_constraint=False, related_name="+")
    label = models.CharField(max_length=255, blank=True)
    digest = models.CharField(max_length=64)
    scope = models.TextField(blank=True)
    created_at = models.DateTimeField()
    expires_at = models.DateTimeField()
    last_used_at = models.DateTimeField(null=True)

    class Meta:
        verbose_name = "API key"

    def __str__(self) -> str:
        return self.label or self.id


class SecondFactor(models.Model):
    """What a user needs to log in beside the password: codes of a TOTP secret (RFC 6238), which is sealed.

    `id` is new with each enrolment. `last_step` is the time step of the last code that was used, so that each is used
    once; `recovery` keeps, as a JSON list, the SHA-256 of the recovery codes that are left, in hexadecimal.
    """

    id = models.CharField(max_length=36, primary_key=True)
    user = models.ForeignKey(settings.AUTH_USER_MODEL, models.CASCADE, db_constraint=False, related_name="+")
    sealed = models.BinaryField()
    last_step = models.BigIntegerField()
    recovery = models.TextField()
    enrolled_at = models.DateTimeField()

    class Meta:
        constraints = [models.UniqueConstraint(fields=["user"], name="one_second_factor_a_user")]

    def __str__(self) -> str:
        return f"second factor of {self.user}"


class Session(models.Model):
    """A session of the backend `database` (see SessionRecord); those of the backend `cache` have no row.

    Of one that is `sealed`, `family`, `client_id`, `label` and `metadata` are in the envelope, and empty here.
    """

    id = models.CharField(max_length=36, primary_key=True)
    user = models.ForeignKey(settings.AUTH_USER_MODEL, models.CASCADE, db_constraint=False, related_name="+")
    family = models.CharField(max_length=36, blank=True)
    state = models.CharField(max_length=16)
    reason = models.CharField(max_length=8, blank=True)
    client_id = models.CharField(max_length=255, blank=True)
    label = models.CharField(max_length=255, blank=True)
    metadata = models.TextField(default="{}")
    created_at = models.DateTimeField()
    last_active_at = models.DateTimeField()
    position = models.BigIntegerField(default=0)
    sealed = models.BinaryField(default=b"", db_default=b"")

    class Meta:
        indexes = [models.Index(fields=["state", "last_active_at"], name="session_by_activity")]
        permissions = [
            ("administer_sessions", "May see, suspend, resume and close everybody's sessions"),
            ("administer_access", "May grant and revoke access to resources"),
            ("read_audit", "May read the audit trail"),
            ("read_telemetry", "May read telemetry"),
        ]

    def __str__(self) -> str:
        return self.id


class AccessRule(models.Model):
    """A rule of access (see `access/rules.py`): for a user, a group, or for everyone when neither is set.

    `verbs` are names with commas between them. Rows come and go, and never change.
    """

    id = models.CharField(max_length=36, primary_key=True)
    user = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.CASCADE, db_constraint=False, null=True, blank=True, related_name="+"
    )
    group = models.ForeignKey(
        "auth.Group", models.CASCADE, db_constraint=False, null=True, blank=True, related_name="+"
    )
    pattern = models.CharField(max_length=2048)
    verbs = models.CharField(max_length=64)
    effect = models.CharField(max_length=8)
    created_by = models.CharField(max_length=150, blank=True)
    created_at = models.DateTimeField()
    expires_at = models.DateTimeField(null=True, blank=True, db_index=True)

    def __str__(self) -> str:
        return f"{self.effect} {self.verbs} on {self.pattern}"
