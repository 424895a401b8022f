"""Plain addresses: no method of the table, no caller, one small answer."""

from collections.abc import Awaitable, Callable
from functools import wraps
from typing import Any

from audit_app.errors import Refusal
from erlmcp_site.pipeline.errors import MethodNotAllowed
from erlmcp_site.transports.http.answers import (
    NO_STORE,
    Answer,
    Application,
    Header,
    position_headers,
    problem_answer,
)
from erlmcp_site.transports.http.incoming import Incoming
from resources_app.hub.hub import hub

ONLY_GET = "GET, HEAD, OPTIONS"


def wrong_verb(allowed: str) -> MethodNotAllowed:
    """The refusal of a verb that an address does not take."""
    return MethodNotAllowed(f"This address takes {allowed}.")


def told_verbs(incoming: Incoming, allowed: str) -> Answer:
    """The answer to OPTIONS."""
    headers = [_allow(allowed), NO_STORE, *position_headers(incoming.id, hub.position)]
    return Answer(204, headers, media_type=None)


def refused_verb(incoming: Incoming, refusal: Refusal, allowed: str) -> Answer:
    """The answer to any other verb that an address does not take."""
    return problem_answer(refusal, incoming, headers=[_allow(allowed)])


def _allow(allowed: str) -> Header:
    return b"allow", allowed.encode()


def only_get(view: Callable[[Incoming], Awaitable[Application]]) -> Callable[..., Any]:
    """Let a view answer GET and HEAD, and nothing else."""

    @wraps(view)
    async def answer(incoming: Incoming) -> Application:
        if incoming.method in {"GET", "HEAD"}:
            return await view(incoming)
        if incoming.method == "OPTIONS":
            return told_verbs(incoming, ONLY_GET)
        return refused_verb(incoming, wrong_verb(ONLY_GET), ONLY_GET)

    return answer
