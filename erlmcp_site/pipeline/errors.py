"""The refusals of the pipeline itself: what cannot be read as a request for a known method."""

from audit_app.errors import Refusal


class ParseError(Refusal):
    """The message is not valid JSON."""

    code = "parse_error"


class InvalidRequest(Refusal):
    """The message is not a valid request."""

    code = "invalid_request"


class MethodNotFound(Refusal):
    """There is no such method."""

    code = "method_not_found"


class MethodNotAllowed(Refusal):
    """This address does not take that HTTP method."""

    code = "method_not_allowed"


class NotAcceptable(InvalidRequest):
    """The client has to accept application/json and text/event-stream."""


class UnsupportedMediaType(Refusal):
    """The media type of the body is not one that is understood here."""

    code = "unsupported_media_type"


class Abandoned(Refusal):
    """The client did not wait for the answer."""

    # for the trail alone: there is nobody left to be told
    code = "deadline_exceeded"
