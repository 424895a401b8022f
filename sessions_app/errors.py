"""The refusals of callers, tokens and sessions."""

from typing import Any

from audit_app.errors import Refusal
from resources_app.errors import TooMany
from sessions_app.buckets import Quota


class Unauthenticated(Refusal):
    """A valid bearer token is needed."""

    code = "unauthenticated"
    category = "recoverable"


class RefreshReused(Unauthenticated):
    """This refresh token was used before."""

    code = "refresh_reused"


class WrongLogin(Unauthenticated):
    """The user name or the password is wrong, or the code of the second factor."""


class WrongCode(Unauthenticated):
    """The code is wrong, or was used before."""


class Forbidden(Refusal):
    """You may not do this."""

    code = "forbidden"


class OutOfScope(Forbidden):
    """The scopes of the token leave this out."""


class FactorNeeded(Forbidden):
    """Enrol a second factor first, in the admin: this user may not log in without one."""


class AlreadyEnrolled(Refusal):
    """This user has a second factor already."""

    code = "already_exists"


class NotEnrolled(Refusal):
    """This user does not have that second factor any more."""

    code = "resource_not_found"


class RateLimited(Refusal):
    """Too many requests.

    `policy` names the limit that was reached; `quotas` is what the limit leaves.
    """

    code = "rate_limited"
    category = "retryable"

    def __init__(
        self,
        message: str | None = None,
        *,
        retry_after: float | None = None,
        policy: str = "",
        quotas: tuple[Quota, ...] = (),
        **data: Any,
    ) -> None:
        if policy:
            data["policy"] = policy
        super().__init__(message, retry_after=retry_after, **data)
        self.policy = policy
        self.quotas = quotas


class Crowded(RateLimited):
    """Too many clients connect at the same time; come back a little later."""

    code = "unavailable"


class TooManyConnections(RateLimited):
    """You have as many open sockets, event streams and polls as one user may have here; close one first."""


class TooManyListens(RateLimited):
    """You have as many open subscriptions of MCP as one user may have here; close one first."""


class SessionNotFound(Refusal):
    """There is no such session, or it is not yours."""

    code = "resource_not_found"


class KeyNotFound(Refusal):
    """There is no such API key, or it is not yours."""

    code = "resource_not_found"


class TooManyKeys(TooMany):
    """You have as many API keys as one user may have; revoke one first."""


class TooManySessions(TooMany):
    """You have as many sessions as one user may have, and none has been idle for long; close one first."""


class IllegalTransition(Refusal):
    """The session cannot go from its state to that one."""

    code = "illegal_transition"
