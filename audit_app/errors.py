"""Refusals: every way in which the system says no, by one family of exceptions.

A refusal carries a `code` of the contract (§7). Which status or number a code has on a wire stands in
`erlmcp_site/transports/wire.py`, and nowhere else.
"""

from typing import Any, Literal

Category = Literal["retryable", "recoverable", "fatal"]


class Refusal(Exception):
    """The request was refused.

    The docstring of a subclass is its default message. `data` is shown to the caller beside code and category,
    so it never holds a secret. `retry_after` is in seconds. `position` is the offset of the latest change that the
    refusal tells of, 0 for none: whoever hears of it knows the log up to there. `lacking_scope` is what a token would
    need altogether, where its scopes alone are why.
    """

    code = "internal_error"
    category: Category = "fatal"
    outcome: Literal["refused", "error"] = "refused"
    retry_after: float | None = None
    position = 0
    lacking_scope = ""

    def __init__(self, message: str | None = None, *, retry_after: float | None = None, **data: Any) -> None:
        self.message = message or (type(self).__doc__ or self.code).strip().splitlines()[0]
        if retry_after is not None:
            self.retry_after = retry_after
        self.data = data
        super().__init__(self.message)


class InternalError(Refusal):
    """Something failed on our side; the request id finds it in the log."""

    code = "internal_error"
    outcome = "error"


class Unavailable(Refusal):
    """The service cannot take this request now; try again."""

    code = "unavailable"
    category = "retryable"
    outcome = "error"
    retry_after = 1.0


class Again(Unavailable):
    """Something that this needs is not at hand; whoever submitted the command gets it, and submits the command again.

    So it is no answer to anybody, and leaves no entry.
    """


class DeadlineExceeded(Refusal):
    """The time that the request allowed has passed."""

    code = "deadline_exceeded"
    category = "retryable"
    outcome = "error"


class InvalidParams(Refusal):
    """The parameters are not what the method takes."""

    code = "invalid_params"


class TooLarge(Refusal):
    """The content is larger than the limit."""

    code = "too_large"


class TooDeep(Refusal):
    """The JSON is nested deeper than the limit."""

    code = "too_deep"
