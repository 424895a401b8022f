"""What clients of the legacy era say about their session (R5): that they are there, and what they want to be told."""

from typing import Any

from django.conf import settings
from mcp.server.context import ServerRequestContext
from mcp_types import RequestParams, SetLevelRequestParams, SubscribeRequestParams, UnsubscribeRequestParams

from erlmcp_site.transports.mcp.exchange import Exchange
from erlmcp_site.transports.mcp.following import NotificationStream
from erlmcp_site.transports.mcp.handlers.resources import exchange_of
from erlmcp_site.transports.mcp.kernel import server
from erlmcp_site.transports.mcp.legacy import subscribed
from erlmcp_site.transports.mcp.legacy.handshakes import KEY
from resources_app.errors import InvalidUri
from resources_app.hub.followers import Following
from resources_app.hub.hub import hub
from resources_app.patterns import Pattern, Reach
from resources_app.subscriptions import SubscriptionNotFound
from resources_app.uris import normalise
from sessions_app.errors import RateLimited

Context = ServerRequestContext[None, Exchange]


async def ping(context: Context, params: RequestParams) -> dict[str, Any]:
    await exchange_of(context).ask("server/discover", {})
    return {}


async def set_level(context: Context, params: SetLevelRequestParams) -> dict[str, Any]:
    exchange = exchange_of(context)
    found = await exchange.ask("sessions/get", {"session": exchange.session_id})
    metadata = {**found["metadata"], KEY: {**found["metadata"].get(KEY, {}), "log_level": params.level}}
    await exchange.ask("sessions/update", {"session": exchange.session_id, "metadata": metadata})
    return {}


async def subscribe(context: Context, params: SubscribeRequestParams) -> dict[str, Any]:
    """Whoever may follow the resource now is told of it on the session's stream, on whichever node that is."""
    exchange = exchange_of(context)
    outlet = NotificationStream()
    try:
        told = await exchange.ask("resources/subscribe", {"uri": params.uri}, outlet)
        pattern = outlet.followers[told["subscription"]].following.pattern
    finally:
        outlet.leave()
    if not pattern.is_exact:
        raise exchange.error(InvalidUri("Only a resource can be subscribed to, no pattern."))
    assert exchange.session_id is not None
    wanted = subscribed.Subscribed(params.uri, told["offset"], told["subscription"])
    if not await subscribed.subscribe(exchange.session_id, pattern.prefix, wanted):
        limit = settings.MCP_LISTEN_MAX_URIS
        message = f"At most {limit} subscriptions of one session."
        raise exchange.error(RateLimited(message, policy="subscriptions", limit=limit))
    return {}


async def unsubscribe(context: Context, params: UnsubscribeRequestParams) -> dict[str, Any]:
    """A session that was not subscribed is told no more of it, either."""
    exchange = exchange_of(context)
    assert exchange.session_id is not None
    try:
        uri = normalise(params.uri)
    except InvalidUri as refusal:
        raise exchange.error(refusal) from None
    found = (await subscribed.wanted(exchange.session_id)).uris.get(uri)
    id = "" if found is None else found.id
    outlet = NotificationStream()
    try:
        if found is not None:
            outlet.followers[id] = await hub.follow(
                Following(subscription=id, pattern=Pattern(uri, Reach.EXACT)), outlet
            )
        reply = await exchange.reply("resources/unsubscribe", {"subscription": id or "none"}, outlet)
    finally:
        outlet.leave()
    if reply.refusal is not None and not isinstance(reply.refusal, SubscriptionNotFound):
        raise exchange.error(reply.refusal)
    await subscribed.unsubscribe(exchange.session_id, uri)
    return {}


def register() -> None:
    server.add_request_handler("ping", RequestParams, ping)
    server.add_request_handler("logging/setLevel", SetLevelRequestParams, set_level)
    server.add_request_handler("resources/subscribe", SubscribeRequestParams, subscribe)
    server.add_request_handler("resources/unsubscribe", UnsubscribeRequestParams, unsubscribe)
