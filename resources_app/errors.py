"""The refusals of resources, the log and subscriptions."""

from audit_app.errors import Refusal


class InvalidUri(Refusal):
    """The URI is not one that a resource can have."""

    code = "invalid_uri"


class ResourceNotFound(Refusal):
    """There is no such resource, or you may not read it."""

    code = "resource_not_found"


class AlreadyExists(Refusal):
    """A resource with this URI exists already."""

    code = "already_exists"


class VersionConflict(Refusal):
    """The resource has changed since the version that this change is based on."""

    code = "version_conflict"
    category = "recoverable"


class PatchFailed(Refusal):
    """The patch does not fit the content that it is meant for."""

    code = "patch_failed"
    category = "recoverable"


class TooMany(Refusal):
    """You have as many of these as one user may have. `limit` says how many."""

    code = "rate_limited"
    category = "recoverable"


class TooManySubscriptions(TooMany):
    """You have as many durable subscriptions as one user may have; delete one first."""


class Reset(Refusal):
    """The log cannot prove continuity from this offset: read the present state, then follow from `head`."""

    code = "reset"
    category = "recoverable"
