"""Requests of several rounds: an answer asks for more, and gives the client a state to bring back (design page, R7).

The state is sealed with a key that all workers have, and is good for one caller, one request and ten minutes; what a
client has changed, taken from another or kept too long is refused before any handler sees it.
"""

from hashlib import sha256
from typing import Any, Final

from django.utils.crypto import salted_hmac
from mcp.server.context import CallNext, HandlerResult, ServerRequestContext
from mcp.server.request_state import RequestStateBoundary, RequestStateSecurity

from erlmcp_site.transports.mcp.exchange import Exchange
from erlmcp_site.transports.mcp.kernel import NAME, server
from sessions_app.authentication import tokens
from sessions_app.errors import Unauthenticated

SALT: Final = "erlmcp_site.transports.mcp.rounds"


def principal(context: ServerRequestContext[Any, Exchange]) -> str:
    """Who sends a request. Raises Unauthenticated when the token has been dropped since it was let in."""
    exchange = context.request
    assert exchange is not None
    caller = tokens.get(sha256((exchange.incoming.token or "").encode(errors="replace")).digest())
    if caller is None:
        raise Unauthenticated()
    return caller.user_id


async def hand_over(ctx: ServerRequestContext[Any, Any], call_next: CallNext) -> HandlerResult:
    """Give the exchange the state that the client has brought back, opened."""
    if isinstance(ctx.request, Exchange) and ctx.params is not None:
        ctx.request.state = ctx.params.get("requestState")
    return await call_next(ctx)


def security() -> RequestStateSecurity:
    """How states are sealed: on all processes with one SECRET_KEY alike."""
    key = salted_hmac(SALT, "requestState", algorithm="sha256").digest()
    return RequestStateSecurity(keys=[key], bind_principal=principal)


def register() -> None:
    server.middleware.extend([RequestStateBoundary(security(), default_audience=NAME), hand_over])
