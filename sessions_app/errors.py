"""The refusals of callers, tokens and sessions."""

from audit_app.errors import Refusal


class Unauthenticated(Refusal):
    """A valid bearer token is needed."""

    code = "unauthenticated"
    category = "recoverable"


class RefreshReused(Unauthenticated):
    """This refresh token was used before."""

    code = "refresh_reused"


class Forbidden(Refusal):
    """You may not do this."""

    code = "forbidden"


class RateLimited(Refusal):
    """Too many requests."""

    code = "rate_limited"
    category = "retryable"


class SessionNotFound(Refusal):
    """There is no such session, or it is not yours."""

    code = "resource_not_found"


class KeyNotFound(Refusal):
    """There is no such API key, or it is not yours."""

    code = "resource_not_found"


class IllegalTransition(Refusal):
    """The session cannot go from its state to that one."""

    code = "illegal_transition"
