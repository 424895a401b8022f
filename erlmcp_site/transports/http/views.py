"""Plain addresses: no method of the table, no caller, one small answer."""

from collections.abc import Awaitable, Callable
from functools import wraps
from typing import Any

from erlmcp_site.pipeline.errors import MethodNotAllowed
from erlmcp_site.transports.http.answers import NO_STORE, Answer, Application, position_headers, problem_answer
from erlmcp_site.transports.http.incoming import Incoming
from resources_app.hub.hub import hub


def refuse_verb(incoming: Incoming, allowed: str) -> Answer:
    """The answer to a verb that an address does not take: its verbs for OPTIONS, else 405."""
    allow = (b"allow", allowed.encode())
    if incoming.method == "OPTIONS":
        return Answer(204, [allow, NO_STORE, *position_headers(incoming.id, hub.position)], media_type=None)
    refusal = MethodNotAllowed(f"This address takes {allowed}.")
    return problem_answer(refusal, incoming, headers=[allow])


def only_get(view: Callable[[Incoming], Awaitable[Application]]) -> Callable[..., Any]:
    """Let a view answer GET and HEAD, and nothing else."""

    @wraps(view)
    async def answer(incoming: Incoming) -> Application:
        if incoming.method in {"GET", "HEAD"}:
            return await view(incoming)
        return refuse_verb(incoming, "GET, HEAD, OPTIONS")

    return answer
